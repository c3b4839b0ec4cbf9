"""A task's metrics for models, skills and compositions on the same records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from ..adapters.library import check_prompts
from ..adapters.target import find
from ..contract.declarations import Evaluator, Normaliser, Read, Task
from ..data.conversion import ConversionReport
from ..data.learnt import Overlap, unseen
from ..data.sources import Sources, opened
from ..inference.predict import Answering, Mode, predict
from ..settings import Positive, Settings
from ..workspace import Workspace
from .leakage import check_splits, check_task_prompts
from .report import Evaluation, Run, write_report


@dataclass(kw_only=True)
class EvaluateSettings(Settings):
    """How a task is measured.

    `limit` draws that many of the `split`'s records by `seed`, 0 takes all. `split_policy` must be the one a target
    was made under. Records that a target learnt from are refused, left out for every target, or kept, by `overlap`.
    `answer`, `normaliser` and `read` are those of `Answering`; `normaliser` takes the place of the task's own.
    """

    limit: int = 0
    seed: int = 0
    split: Literal["train", "dev", "adapt", "test"] = "test"
    split_policy: str = "official"
    answer: Mode = "score"
    normaliser: Normaliser | None = None
    read: Read = "all"
    max_length: Positive = 512
    overlap: Overlap = "refuse"


def evaluate(
    workspace: Workspace,
    task: Task,
    sources: Sources,
    names: Sequence[str],
    settings: EvaluateSettings,
    *,
    skip_bad: bool = False,
    data: Mapping[str, Any] | None = None,
) -> list[Evaluation]:
    """The task's metrics for each target, by a name of `target.find`, on the same records.

    Every result is also written to the store's reports, with ids, scores, what the scores were made of and the
    numbers of the gold and extracted options, but no text: where the options are answers they are a record's.
    """
    evaluator = workspace.plugins.get(Evaluator, task.evaluator)
    targets = find(workspace, names)  # what is wrong is found before any takes its time
    opened(workspace.plugins, task, sources, data)
    for target in targets:
        check_splits(target, task, sources, settings.split_policy)
    report, split = ConversionReport(skip_bad), str(settings.split)
    drawn = workspace.drawn(task, sources, {split: settings.limit}, settings.seed, report, data, settings.split_policy)
    what = f"'{split}' records of '{task.name}'"
    learnt = {f"{who} of '{target.name}'": known for target in targets for who, known in target.learnt.items()}
    fresh = unseen(drawn[split], what, learnt, settings.overlap, report.leave_out)
    encoder = workspace.encoder(workspace.template(task), settings.max_length)
    for target in targets:
        target.check()
        check_prompts(workspace, target.artifacts.values(), encoder)
        check_task_prompts(target, task, encoder)
    examples = encoder.encode_all(fresh, what)
    answering = Answering.of(task, settings.answer, settings.normaliser, settings.read)
    run = Run(settings, sorted(sources), dict(data or {}), dict(report.left_out), encoder)
    done = []
    with workspace.events.run("evaluate", task.name, workspace.base.name, asdict(settings)) as told:
        for target in targets:
            with target.applied() as base:
                adapted = replace(encoder, base=base)
                predictions = predict(adapted, examples, answering, workspace.progress, f"evaluating {target.name}")
            metrics = evaluator.load()(predictions)
            used = answering.normaliser if any(p.likelihoods for p in predictions) else None
            made = Evaluation(task.name, target.name, len(examples), metrics, dict(encoder.counts), used)
            done.append(write_report(workspace.store.reports, target, made, run, predictions))
            told.evaluated(target.name, metrics)
    return done
