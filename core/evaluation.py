"""Predictions of a model on records, and a task's metrics over them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .compositions import blend, running
from .conversion import Conversion
from .declarations import Evaluator, Task
from .encoding import Encoded, Encoder
from .errors import BadInput
from .predictions import Prediction
from .progress import Progress
from .store import write_json
from .workspace import Sources, Workspace, sample

if TYPE_CHECKING:
    from .declarations import Instructed

CHUNK = 64


@dataclass(frozen=True)
class Evaluation:
    """The metrics of one target on one task's records."""

    task: str
    target: str
    n: int
    metrics: Mapping[str, float]
    counts: Mapping[str, int]


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
) -> list[Evaluation]:
    """The task's metrics for each target ("base", "skill:NAME" or a composition) on the same records.

    `limit` draws that many of the split's records by seed, 0 takes all. Every result is also written
    to the store's reports, with ids, scores and the numbers of the gold options, but no text: where the
    options are answers they are a record's.
    """
    task = workspace.plugins.get(Task, name)
    evaluator = workspace.plugins.get(Evaluator, task.evaluator)
    records = workspace.records(task, sources, Conversion(skip_bad), data)
    drawn = sample(records, {split: limit}, seed)[split]
    encoder = workspace.encoder(task, max_length)
    examples = list(encoder.encode(drawn))
    if not examples:
        raise BadInput(f"There are no '{split}' records of '{name}' to evaluate on: check the source and its splits.")
    for target in targets:
        blend(workspace, target)  # a wrong name is found before any target takes its time
    done = []
    for target in targets:
        with running(workspace, target):
            predictions = predict(workspace, task, encoder, examples, f"evaluating {target}")
        metrics = evaluator.load()(predictions)
        done.append(Evaluation(name, target, len(examples), metrics, dict(encoder.counts)))
        _report(workspace, done[-1], predictions)
    return done


def predict(
    workspace: Workspace,
    declared: Instructed,
    encoder: Encoder,
    examples: Sequence[Encoded],
    title: str = "",
    max_new_tokens: int = 64,
) -> list[Prediction]:
    """The base model's answers as it stands: label scores where options are listed, else generated text."""
    predictions: list[Prediction] = []
    unconditional: dict[tuple[int, ...], list[float]] = {}
    progress = workspace.progress if title else Progress()
    with progress.task(title, len(examples)) as bar:
        for start in range(0, len(examples), CHUNK):
            chunk = examples[start : start + CHUNK]
            if all(example.options for example in chunk):
                predictions += _scored(workspace, declared, encoder, chunk, unconditional)
            else:
                predictions += _generated(workspace, chunk, max_new_tokens)
            bar.advance(len(chunk))
    return predictions


def _scored(
    workspace: Workspace,
    declared: Instructed,
    encoder: Encoder,
    chunk: Sequence[Encoded],
    unconditional: dict[tuple[int, ...], list[float]],
) -> list[Prediction]:
    from .scoring import normalised, option_scores

    bare: list[Encoded] = []
    if declared.normaliser == "pmi":
        uncounted = replace(encoder, counts=Counter())
        bare = list(uncounted.encode(replace(example.record, context="") for example in chunk))
        new = list({b.prompt: b for b in bare if b.prompt not in unconditional}.values())
        unconditional |= dict(zip((b.prompt for b in new), option_scores(workspace.base, new), strict=True))
    predictions = []
    for i, (example, raw) in enumerate(zip(chunk, option_scores(workspace.base, chunk), strict=True)):
        record, lengths = example.record, [len(option) for option in example.options]
        scores = normalised(raw, lengths, unconditional[bare[i].prompt] if bare else None, declared.normaliser)
        predictions.append(
            Prediction(
                id=record.id,
                gold=record.labels,
                answer=record.answer,
                options=record.options,
                scores=scores,
                text=record.options[scores.index(max(scores))],
                multi_label=declared.multi_label,
            )
        )
    return predictions


def _generated(workspace: Workspace, chunk: Sequence[Encoded], max_new_tokens: int) -> list[Prediction]:
    from .scoring import generate

    texts = generate(workspace.base, chunk, max_new_tokens)
    return [
        Prediction(id=e.record.id, gold=e.record.labels, answer=e.record.answer, text=text)
        for e, text in zip(chunk, texts, strict=True)
    ]


def _report(workspace: Workspace, done: Evaluation, predictions: Sequence[Prediction]) -> None:
    rows = []
    for p in predictions:
        gold = [p.options.index(label) for label in p.gold if p.options]
        rows.append({"id": p.id, "gold": gold, "scores": [round(score, 5) for score in p.scores]})
    name = f"{done.task}-{done.target.replace(':', '-')}"
    body = {"task": done.task, "with": done.target, "base": workspace.base.name, "n": done.n}
    body |= {"metrics": dict(done.metrics), "counts": dict(done.counts), "records": rows}
    write_json(workspace.store.report(name), body)
