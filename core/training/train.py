"""Stage I for one skill: from records to an artifact in the store, with its card."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..adapters.artifact import LEARNT, Artifact
from ..adapters.library import Library, library_of
from ..contract.declarations import Skill
from ..data.conversion import ConversionReport
from ..data.learnt import Learnt
from ..data.sources import Sources, releases
from ..store.documents import write_json
from ..store.locks import locked
from ..workspace import Workspace
from .card import card, identity, readme
from .method import TuningMethod
from .settings import TrainSettings

if TYPE_CHECKING:
    from ..prompts.encoding import Encoded, Encoder
    from .estimate import TrainEstimate
    from .loop import Trained


def train_skill(
    workspace: Workspace,
    skill: Skill,
    sources: Sources,
    trainer: str,
    method: TuningMethod,
    settings: TrainSettings,
    *,
    skip_bad: bool = False,
    data: Mapping[str, Any] | None = None,
    replace: bool = False,
) -> Artifact:
    """Stage I for one skill: convert, render, train alone on the frozen base, and save.

    `trainer` is the name of `method`. Work that was interrupted resumes from its last checkpoint to the same
    adapter, and work that was finished is not done again. An older version of the skill is kept, unless `replace`
    is true. Raises BadInput for wrong sources.
    """
    from .loop import train

    workspace.store.check_writable()
    report, encoder, examples, dev = _material(workspace, skill, sources, settings, skip_bad, data)
    facts = identity(workspace.base, encoder, trainer, method, settings, examples)
    library = library_of(workspace)
    if finished := _finished(workspace, library, skill.name, facts["work"]):
        return finished
    run = workspace.store.run(f"train-{skill.name}-{facts['work']}")
    with locked(run, workspace.progress.note):
        if finished := _finished(workspace, library_of(workspace), skill.name, facts["work"]):
            return finished  # by whoever was waited for
        title = f"training {skill.name}"
        with workspace.events.run("train", skill.name, workspace.base.name, asdict(settings) | asdict(method)) as told:
            trained = train(workspace.base, examples, dev, method, settings, run, workspace.progress, title, told)
            for target, loss in (("base", trained.dev_before), (f"skill:{skill.name}", trained.dev_after)):
                if loss is not None:
                    told.evaluated(target, {"dev_loss": loss})
            known = releases(workspace.plugins, sources)
            made = card(
                skill, facts, trained, examples, list(sources), known, data or {}, report.left_out, encoder.counts
            )
            learnt = Learnt.of((example.record for example in examples), facts["work"])
            saved = _save(library, trained, made, learnt, replace)
        shutil.rmtree(run, ignore_errors=True)  # with what a killed process may have left there
    return saved


def estimate_skill(
    workspace: Workspace,
    skill: Skill,
    sources: Sources,
    method: TuningMethod,
    settings: TrainSettings,
    *,
    skip_bad: bool = False,
    data: Mapping[str, Any] | None = None,
) -> TrainEstimate:
    """What `train_skill` would take; nothing is kept. Raises BadInput for wrong sources."""
    from .estimate import estimate

    _, _, examples, dev = _material(workspace, skill, sources, settings, skip_bad, data)
    return estimate(workspace.base, examples, dev, method, settings)


def _material(
    workspace: Workspace,
    skill: Skill,
    sources: Sources,
    settings: TrainSettings,
    skip_bad: bool,
    data: Mapping[str, Any] | None,
) -> tuple[ConversionReport, Encoder, list[Encoded], list[Encoded]]:
    """The records to train on and those of the loss before and after, as tokens, and what was left out of them."""
    report = ConversionReport(skip_bad)
    sizes = {"train": settings.records or settings.steps * settings.batch_size, "dev": settings.dev_records}
    drawn = workspace.drawn(skill, sources, sizes, settings.seed, report, data, settings.split_policy)
    encoder = workspace.encoder(workspace.template(skill), settings.max_length)
    examples = encoder.encode_all(drawn["train"], f"training records of '{skill.name}'")
    return report, encoder, examples, list(encoder.encode(drawn["dev"]))


def _finished(workspace: Workspace, library: Library, name: str, work: str) -> Artifact | None:
    """The version that came of the same work before, which is the newest again."""
    for version in library.versions.get(name, ()):
        kept = version.path.parent == library.folder  # a pack's may go when it is uninstalled
        if kept and version.card.get("work") == work and not version.damaged:
            newest = library.make_newest(version)
            workspace.progress.note(
                f"{name} is already trained with these settings on these records: {newest.path} ({newest.version})"
            )
            return newest
    return None


def _save(library: Library, trained: Trained, card: dict[str, Any], learnt: Learnt, replace: bool) -> Artifact:
    try:
        with library.adding(card, replace) as part:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Adapter .* invalid shape")  # AdaLoRA may leave a module rank 0
                trained.model.save_pretrained(str(part))
            (part / "README.md").write_text(readme(card), encoding="utf-8")
            write_json(part / LEARNT, learnt.as_json())
    finally:
        trained.model.unload()
    return Library(library.folder, library.base).get(f"{card['skill']}@{card['adapter']}")
