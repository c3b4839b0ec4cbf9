"""Stage I for one skill: from records to a PEFT adapter directory in the store, with its card."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from ..adapters.library import CARD, TrainedSkill, trained_skills
from ..adapters.peft_files import CONFIG, WEIGHTS, read_adapter
from ..contract.declarations import Skill, Trainer
from ..data.conversion import ConversionReport
from ..data.sampling import sample
from ..data.sources import Sources
from ..settings import settings_from
from ..store.files import atomic_directory
from ..workspace import Workspace

if TYPE_CHECKING:
    from ..prompts.encoding import Encoded
    from .loop import Trained


def train_skill(
    workspace: Workspace,
    name: str,
    sources: Sources,
    trainer: str = "adalora",
    settings: Mapping[str, str] | None = None,
    seed: int = 0,
    skip_bad: bool = False,
    data: Mapping[str, Any] | None = None,
) -> TrainedSkill:
    """Stage I for one skill: convert, render, train alone on the frozen base, and save.

    `settings` are the trainer's and the loop's, as text. Work that was interrupted resumes from its
    last checkpoint to the same adapter, and work that was finished is not done again. Raises BadInput
    for wrong names, settings or sources.
    """
    from .checkpoint import CHECKPOINT
    from .loop import train
    from .settings import TrainSettings

    skill = workspace.plugins.get(Skill, name)
    declared = workspace.plugins.get(Trainer, trainer)
    method, loop = settings_from({"seed": str(seed), **(settings or {})}, declared.load(), TrainSettings)
    conversion = ConversionReport(skip_bad)
    wanted = loop.records or loop.steps * loop.batch_size
    drawn = sample(
        workspace.records(skill, sources, conversion, data, loop.split_policy),
        {"train": wanted, "dev": loop.dev_records},
        loop.seed,
    )
    encoder = workspace.encoder(skill, loop.max_length)
    examples = encoder.encode_all(drawn["train"], f"training records of '{name}'")
    dev = list(encoder.encode(drawn["dev"]))
    versions = {p: version(p) for p in ("mdkif", "torch", "transformers", "peft")}
    work = _digest([workspace.base.fingerprint, trainer, asdict(method), asdict(loop), _contents(examples), versions])
    finished = trained_skills(workspace, workspace.base.name).get(name)
    if finished is not None and finished.card.get("work") == work:
        workspace.progress.note(f"{name} is already trained with these settings on these records: {finished.path}")
        return finished
    run = workspace.store.run(f"train-{name}-{work}")
    trained = train(workspace.base, examples, dev, method, loop, run, workspace.progress, f"training {name}")
    card = {
        "skill": name,
        "title": skill.title,
        "base": workspace.base.name,
        "fingerprint": workspace.base.fingerprint,
        "trainer": trainer,
        "settings": {**asdict(loop), **asdict(method)},
        "steps": trained.steps,
        "data": {
            "datasets": sorted(sources),
            "options": dict(data or {}),
            "records": len(examples),
            "hash": _contents(examples),
            "left_out": dict(conversion.left_out),
            "encoding": dict(encoder.counts),
        },
        "template": _digest([encoder.template.source()]),
        "metrics": _losses(trained),
        "versions": versions,
        "work": work,
    }
    saved = _save(workspace, name, trained, card)
    (run / CHECKPOINT).unlink(missing_ok=True)
    if run.is_dir():
        run.rmdir()
    return saved


def _save(workspace: Workspace, name: str, trained: Trained, card: dict[str, Any]) -> TrainedSkill:
    path = workspace.store.skill(workspace.base.name, name)
    try:
        with atomic_directory(path) as part:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Adapter .* invalid shape")  # AdaLoRA may leave a module rank 0
                trained.model.save_pretrained(str(part))
            (part / "README.md").write_text(_readme(card), encoding="utf-8")
            ranks = [update.rank for update in read_adapter(part).values()]
            card["rank"] = {"mean": sum(ranks) / len(ranks), "least": min(ranks), "most": max(ranks)}
            card["adapter"] = hashlib.sha256((part / WEIGHTS).read_bytes()).hexdigest()[:16]
            (part / CARD).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    finally:
        trained.model.unload()
    return TrainedSkill(name, path, card)


def _losses(trained: Trained) -> dict[str, float | None]:
    last = trained.losses[-10:]
    return {
        "train_loss": sum(last) / len(last),
        "dev_loss_before": trained.dev_before,
        "dev_loss": trained.dev_after,
    }


def _readme(card: Mapping[str, Any]) -> str:
    """A card for people; it holds no record text."""
    return (
        f"# {card['title']}: the skill `{card['skill']}` for {card['base']}\n\n"
        f"A PEFT adapter trained with mdkif ({card['trainer']}, {card['steps']} steps) on "
        f"{card['data']['records']} records of {', '.join(card['data']['datasets'])}.\n"
        f"Load it with `PeftModel.from_pretrained(base, folder)`; `{CONFIG}` and `{CARD}` have every setting.\n"
    )


def _contents(examples: Sequence[Encoded]) -> str:
    """A hash of what was trained on, which says whether two runs saw the same data and nothing else."""
    digest = hashlib.sha256()
    for example in examples:
        digest.update(repr((example.record.id, example.prompt, example.answer)).encode())
    return digest.hexdigest()[:16]


def _digest(parts: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]
