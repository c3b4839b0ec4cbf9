"""A task's metrics for models, skills, compositions and baselines on the same records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ..adapters.library import check_prompts
from ..adapters.target import BASELINE, Target, find
from ..contract.declarations import Baseline, Evaluator, Task
from ..data.conversion import ConversionReport
from ..data.learnt import unseen
from ..data.records import Record
from ..data.sources import Sources, opened
from ..errors import BadInput, MdkifError
from ..inference.predict import Answering, predict
from ..inference.predictions import Prediction, metrics_of
from ..workspace import Workspace
from .baseline import BaselineMethod, Given, answers, check_baselines, kind_of
from .leakage import check_splits, check_task_prompts
from .learning import calibration_set, learning_set
from .report import Evaluation, Run, numbered, write_report
from .settings import EvaluateSettings

if TYPE_CHECKING:
    from ..prompts.encoding import Encoded, Encoder

SHORTCUTS = "shortcuts"


@dataclass(frozen=True)
class Tested:
    """The records that every target answers; with a base model, as it reads them.

    After the `count` that are measured come those that thresholds are set by.
    """

    task: Task
    records: Sequence[Record]
    count: int
    answering: Answering
    encoder: Encoder | None = None
    encoded: Sequence[Encoded] = ()


def evaluate(
    workspace: Workspace,
    task: Task,
    sources: Sources,
    names: Sequence[str | BaselineMethod],
    settings: EvaluateSettings,
    *,
    skills: Sequence[str] | None = None,
    skip_bad: bool = False,
    data: Mapping[str, Any] | None = None,
) -> list[Evaluation]:
    """The task's metrics for each target on the same records.

    A target is a name of `target.find` or a baseline as an object; "shortcuts" are all baselines that are shortcuts for
    such records. Every result is also written to the store's reports, with ids, scores, what the scores were made of
    and the numbers of the gold and extracted options, but no text: where the options are answers they are a record's.
    """
    workspace.store.check_writable()
    evaluator = workspace.plugins.get(Evaluator, task.evaluator)
    targets = find(workspace, [each for each in names if each != SHORTCUTS], skills)  # what is wrong is found first
    opened(workspace.plugins, task, sources, data)
    for target in targets:
        check_splits(target, task, sources, settings.split_policy)
    report, apart = ConversionReport(skip_bad), ConversionReport(skip_bad)
    what = f"'{settings.split}' records of '{task.name}'"
    records = _drawn(workspace, task, sources, targets, settings, what, report, data)
    if SHORTCUTS in names:
        targets += _shortcuts(workspace, records, {target.name for target in targets})
    check_baselines(targets, records)
    calibration = []
    if evaluator.calibrates and settings.answer == "score" and _several(task, records):
        calibration = calibration_set(workspace, task, sources, settings, records, skills=skills, data=data)
    tested = _tested(workspace, task, targets, records, calibration, what, settings)
    examples = []
    if any(target.baseline for target in targets):
        others = tested.records[: tested.count] if settings.shots else tested.records
        examples = learning_set(workspace, task, sources, settings, others, apart, skills=skills, data=data)
    groups = numbered([record.group for record in tested.records[: tested.count]])
    run = Run(settings, sorted(sources), dict(data or {}), dict(report.left_out), tested.encoder, groups)
    base, done = workspace.base.name if tested.encoder else "", []
    with workspace.events.run("evaluate", task.name, base, asdict(settings)) as told:
        for target in targets:
            predictions, counts = _answered(workspace, target, tested, examples, settings.learning_seed)
            measured, calibrating = predictions[: tested.count], predictions[tested.count :]
            measure = partial(metrics_of, evaluator, calibration=calibrating)
            metrics = measure(measured)
            used = tested.answering.normaliser if any(p.likelihoods for p in measured) else None
            made = Evaluation(task.name, target.name, len(measured), metrics, counts, used)
            try:
                done.append(write_report(workspace.store.reports, target, made, run, measured, measure))
            except MdkifError:  # hours of work are not lost with a full disk
                figures = ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())
                workspace.progress.note(f"{target.name}, {len(measured)} records: {figures}")
                raise
            told.evaluated(target.name, metrics)
    return done


def _drawn(
    workspace: Workspace,
    task: Task,
    sources: Sources,
    targets: Sequence[Target],
    settings: EvaluateSettings,
    what: str,
    report: ConversionReport,
    data: Mapping[str, Any] | None,
) -> list[Record]:
    """The records to measure on, as far as no target learnt from them. Raises BadInput if there is none."""
    split, policy = str(settings.split), settings.split_policy
    drawn = workspace.drawn(task, sources, {split: settings.limit}, settings.seed, report, data, policy)[split]
    learnt = {f"{who} of '{target.name}'": known for target in targets for who, known in target.learnt.items()}
    if found := unseen(drawn, what, learnt, settings.overlap, report.leave_out):
        return found
    raise BadInput(f"There are no {what}: check the source, its splits and what was left out.")


def _shortcuts(workspace: Workspace, records: Sequence[Record], named: set[str]) -> list[Target]:
    """The baselines that are shortcuts for such records, but those that are named already."""
    kind = kind_of(records)
    known = [each for each, _ in workspace.plugins.all(Baseline) if each.shortcut and each.takes in ("", kind)]
    return find(workspace, [name for each in known if (name := f"{BASELINE}{each.name}") not in named])


def _several(task: Task, records: Sequence[Record]) -> bool:
    """Whether any number of the options that are listed may be right."""
    listed = kind_of(records) == "options"
    return listed and (task.multi_label or any(len(record.labels) != 1 for record in records))


def _tested(
    workspace: Workspace,
    task: Task,
    targets: Sequence[Target],
    records: Sequence[Record],
    calibration: Sequence[Record],
    what: str,
    settings: EvaluateSettings,
) -> Tested:
    """What is asked of every target: all records or, where one needs the base model, those that fit into its prompt."""
    answering = Answering.of(task, settings.answer, settings.normaliser, settings.read)
    if not any(target.needs_base for target in targets):
        return Tested(task, [*records, *calibration], len(records), answering)
    encoder = workspace.encoder(workspace.template(task), settings.max_length)
    for target in targets:
        if target.needs_base:
            target.check()
            check_prompts(workspace, target.artifacts.values(), encoder)
            check_task_prompts(target, task, encoder)
    encoded = encoder.encode_all(records, what)
    both = [*encoded, *replace(encoder, counts=Counter()).encode(calibration)]
    return Tested(task, [each.record for each in both], len(encoded), answering, encoder, both)


def _answered(
    workspace: Workspace, target: Target, tested: Tested, examples: Sequence[Record], seed: int
) -> tuple[list[Prediction], dict[str, float]]:
    """The target's answers, and the figures that belong to them."""
    counts: dict[str, float] = dict(tested.encoder.counts) if tested.encoder and target.needs_base else {}
    if target.baseline is None:
        assert tested.encoder is not None
        with target.applied() as base:
            adapted, title = replace(tested.encoder, base=base), f"evaluating {target.name}"
            return predict(adapted, tested.encoded, tested.answering, workspace.progress, title), counts
    given = Given(
        task=tested.task,
        records=tested.records,
        examples=examples,
        seed=seed,
        answering=tested.answering,
        progress=workspace.progress,
        model=replace(tested.encoder, counts=Counter()) if tested.encoder and target.needs_base else None,
        skills=target.artifacts,
    )
    found = answers(target, given)
    return found, counts | {"examples": len(examples)} | given.counts
