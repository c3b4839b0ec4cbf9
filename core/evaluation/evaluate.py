"""A task's metrics for models, skills and compositions on the same records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args

from ..adapters.composition import applied
from ..contract.declarations import Evaluator, Normaliser, Task
from ..data.conversion import ConversionReport
from ..data.sampling import sample
from ..data.sources import Sources
from ..errors import unknown
from ..inference.predict import Answer, predict
from ..workspace import Workspace
from .leakage import check_splits
from .report import Evaluation, write_report


def evaluate(
    workspace: Workspace,
    name: str,
    sources: Sources,
    targets: Sequence[str],
    limit: int = 0,
    seed: int = 0,
    split: str = "test",
    max_length: int = 512,
    skip_bad: bool = False,
    data: Mapping[str, Any] | None = None,
    split_policy: str = "official",
    answer: Answer = "score",
    normaliser: Normaliser | None = None,
) -> list[Evaluation]:
    """The task's metrics for each target ("base", "skill:NAME" or a composition) on the same records.

    `answer` "score" gives every listed label its log-likelihood, "span" extracts labels from the
    query as the papers do (see `extraction.extract`); without listed labels text is generated.
    `normaliser` takes the place of the task's own. `split_policy` must be the one a target
    was made under. `limit` draws that many of the split's records by seed, 0 takes all. Every result is
    also written to the store's reports, with ids, scores, what the scores were made of and the numbers
    of the gold and extracted options, but no text: where the options are answers they are a record's.
    """
    declared = workspace.plugins.get(Task, name)
    if normaliser is not None and normaliser not in get_args(Normaliser):
        raise unknown("normaliser", normaliser, get_args(Normaliser))
    task = replace(declared, normaliser=normaliser or declared.normaliser)
    evaluator = workspace.plugins.get(Evaluator, task.evaluator)
    for target in targets:  # a wrong one is found before any takes its time
        check_splits(workspace, task, sources, target, split_policy)
    records = workspace.records(task, sources, ConversionReport(skip_bad), data, split_policy)
    drawn = sample(records, {split: limit}, seed)[split]
    encoder = workspace.encoder(task, max_length)
    examples = encoder.encode_all(drawn, f"'{split}' records of '{name}'")
    done = []
    for target in targets:
        with applied(workspace, target):
            predictions = predict(workspace, task, encoder, examples, f"evaluating {target}", answer)
        metrics = evaluator.load()(predictions)
        used = task.normaliser if any(p.likelihoods for p in predictions) else None
        done.append(Evaluation(name, target, len(examples), metrics, dict(encoder.counts), used))
        write_report(workspace, done[-1], predictions)
    return done
