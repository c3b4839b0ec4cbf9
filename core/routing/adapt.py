"""Stage II: the router of one task is learnt on its adaptation set, with every skill and the base frozen."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ..adapters import target
from ..adapters.composition import Composition, build, save_residual, validate_name
from ..adapters.library import check_prompts, library_of
from ..contract.declarations import Task
from ..data.conversion import ConversionReport
from ..data.learnt import Learnt, unseen
from ..data.sampling import label_counts
from ..data.sources import Sources, opened, releases
from ..data.splits import RESERVED
from ..errors import BadInput, MdkifError
from ..hashing import json_digest
from ..tuning.settings import TuneSettings, tune_steps
from ..workspace import Workspace
from .objective import adaptation_objective, check_objective
from .optimizer import AdaptSettings, Candidate, RouterOptimizer, starting_points

if TYPE_CHECKING:
    from ..adapters.artifact import Artifact
    from ..adapters.bank import SkillBank
    from ..adapters.low_rank import LowRank
    from ..data.records import Record
    from ..prompts.encoding import Encoded, Encoder
    from ..tuning.fit import Fitted

FEW_LABELS = 8


@dataclass(frozen=True)
class Adapted:
    """What stage II found: the composition, and the objective at uniform weights, at the start and at the end.

    `tuned` says what a LoRA on top of the blend was given and gained, None where none was asked for.

    `references` are the values of what was known before the search: base, single skills and uniform and, where the
    total is free, the best of these at other totals. `moved` is how far the weights found are from the `nearest` of
    them: the root of the sum of squares over skills, in the mean over layers or modules.
    """

    composition: Composition
    objective: str
    start: float
    end: float
    uniform: float
    references: Mapping[str, float]
    nearest: str
    moved: float
    evaluations: int
    seconds: float
    tuned: Fitted | None = None


def adapt(
    workspace: Workspace,
    task: Task,
    sources: Sources,
    router: str,
    optimizer: RouterOptimizer,
    settings: AdaptSettings,
    *,
    skills: Sequence[str] | None = None,
    name: str | None = None,
    skip_bad: bool = False,
    data: Mapping[str, Any] | None = None,
    replace: bool = False,
) -> Adapted:
    """Learn the weights of the skills for one task and save them as a composition.

    `router` is the name of `optimizer`. Base, every single skill and uniform are evaluated first and seed the search,
    so what a search finds is never worse than any of them on the adaptation set. Raises BadInput for wrong names,
    and for a split that is kept for testing.
    """
    started = time.perf_counter()
    made_name = validate_name(name or f"{task.name}-{router}")
    workspace.store.check_writable()
    artifacts = library_of(workspace).choose(skills)
    opened(workspace.plugins, task, sources, data)  # what is wrong is found before the model is loaded
    check_objective(workspace, task, settings.objective)
    steps = tune_steps(settings.tune)
    split, report = _split(task, settings), ConversionReport(skip_bad)
    drawn = adaptation_set(workspace, task, sources, settings, artifacts, report, data)
    encoder = workspace.encoder(workspace.template(task), settings.max_length)
    check_prompts(workspace, artifacts.values(), encoder)
    what = f"'{split}' records of '{task.name}'"
    fresh = unseen(drawn, what, target.learnt_by(artifacts), settings.overlap, report.leave_out)
    examples = encoder.encode_all(fresh, what)
    labels = label_counts([example.record for example in examples])
    if labels:
        workspace.progress.note(f"{len(examples)} {what}, of {_told(labels)}.")
    bank = target.bank_of(artifacts, workspace.base, settings.granularity)
    versions = {skill: artifact.version for skill, artifact in artifacts.items()}
    objective = adaptation_objective(workspace, task, encoder, bank, versions, examples, settings)
    chosen = {**asdict(settings), "objective": objective.name, "scale": objective.space.scale, **asdict(optimizer)}
    with workspace.events.run("adapt", task.name, workspace.base.name, chosen) as objective.told:
        found = optimizer.search(objective, settings.seed, workspace.progress)
        known = [*objective.references, *starting_points(objective)]
        told = {each.name for each in objective.references}
        if not bool(found.weights.isfinite().all()):
            raise MdkifError(f"The router '{router}' found weights that are not finite: try other settings.")
        for each in known[len(objective.references) :]:
            if each.name not in told:
                objective.told.evaluated(each.name, {"objective": each.value})
        objective.told.evaluated(made_name, {"objective": found.value})
        tuned, residual = None, ""
        if steps != 0:
            tuned, updates = _tuned(workspace, task, encoder, bank, found, examples, objective.name, steps, settings)
            residual = save_residual(updates, workspace.store.compositions(workspace.base.name)) if updates else ""
    references = {reference.name: reference.value for reference in known}
    nearest, moved = _moved(found, known)
    origin = {
        "task": task.name,
        "router": router,
        "settings": chosen,
        "data": {
            "datasets": sorted(sources),
            "releases": releases(workspace.plugins, sources),
            "options": dict(data or {}),
            "left_out": dict(report.left_out),
        },
        "records": len(examples),
        "labels": list(labels.values()),
        "encoding": dict(encoder.counts),
        "format": encoder.prompt_format,
        "template": encoder.template.digest,
        "dtype": str(workspace.base.model.dtype).removeprefix("torch."),
        "device": workspace.base.model.device.type,
        "objective": found.value,
        "reference": found.name,
        "references": references,
        "nearest": nearest,
        "moved": moved,
        "tuned": None if tuned is None else tuned.as_json(),
    }
    learnt = Learnt.of((example.record for example in examples), json_digest([made_name, chosen])).as_json()
    made = build(made_name, workspace.base, artifacts, bank, found.weights, origin, learnt, residual)
    target.save(workspace, made, replace)
    return Adapted(
        composition=made,
        objective=objective.name,
        start=min(references.values()),
        end=found.value,
        uniform=references["uniform"],
        references=references,
        nearest=nearest,
        moved=moved,
        evaluations=math.ceil(objective.evaluations),
        seconds=time.perf_counter() - started,
        tuned=tuned,
    )


def _tuned(
    workspace: Workspace,
    task: Task,
    encoder: Encoder,
    bank: SkillBank,
    found: Candidate,
    examples: Sequence[Encoded],
    objective: str,
    steps: int | None,
    settings: AdaptSettings,
) -> tuple[Fitted, dict[str, LowRank]]:
    """A small LoRA on top of the blend, learnt on the same examples.

    It minimises what the router did or, where that was a metric, what "auto" means.
    """
    from ..tuning.losses import shots_loss
    from ..tuning.residual import Residual, tune_blend

    loss = shots_loss(task, encoder, examples, objective, settings.tokens)
    own = Residual(settings.tune_rank, blend=bank.fused(found.weights))
    chosen = TuneSettings(steps=steps, learning_rate=settings.tune_rate, most=settings.tune_most)
    return tune_blend(workspace.base, own, loss, chosen, settings.seed, workspace.progress)


def _told(labels: Mapping[str, int]) -> str:
    """How often each label is right, in words; of many labels only how few and how many times."""
    if len(labels) > FEW_LABELS:
        return f"{len(labels)} labels, each {min(labels.values())} to {max(labels.values())} times"
    return "the labels: " + ", ".join(f"{label} {count}" for label, count in labels.items())


def _moved(found: Candidate, known: Sequence[Candidate]) -> tuple[str, float]:
    """The nearest of the points known before the search, and how far away it is."""
    ways = [float((found.weights - each.weights).square().sum(-1).sqrt().mean()) for each in known]
    nearest = min(range(len(known)), key=ways.__getitem__)
    return known[nearest].name, ways[nearest]


def adaptation_set(
    workspace: Workspace,
    task: Task,
    sources: Sources,
    settings: AdaptSettings,
    skills: Mapping[str, Artifact],
    report: ConversionReport,
    data: Mapping[str, Any] | None = None,
) -> list[Record]:
    """The records a router of these skills learns from, by `settings`. Raises BadInput if none is kept for it."""
    split = _split(task, settings)
    untouched = not any(artifact.datasets & set(sources) for artifact in skills.values())
    size = settings.shots if settings.setting == "few-shot" else settings.limit
    if settings.setting == "normal" and not size:
        uncounted = ConversionReport(report.skip_bad)
        records = workspace.records(task, sources, uncounted, data, settings.split_policy)
        size = sum(record.split == "test" for record in records)
    every = 1.0 if untouched and not settings.split else RESERVED  # nothing need be kept from skills that never read it
    drawn = workspace.drawn(task, sources, {split: size}, settings.seed, report, data, settings.split_policy, every,
                            stratified=True)[split]  # fmt: skip
    if split == "adapt" and not drawn:
        raise BadInput(
            f"None of the training groups of '{task.name}' is kept for its router, they are too few: give some the "
            "split 'adapt', or say --split train."
        )
    if settings.setting == "few-shot" and 0 < len(drawn) < size:
        workspace.progress.note(
            f"There are {len(drawn)} '{split}' records, and not {size} shots: all of them are used."
        )
    return drawn


def _split(task: Task, settings: AdaptSettings) -> str:
    """Where the records come from. Raises BadInput for the split that measures the result."""
    if settings.split == "test":
        raise BadInput(
            f"The router of '{task.name}' cannot be adapted on the test split: its records measure the result."
        )
    return settings.split or "adapt"
