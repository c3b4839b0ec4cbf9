"""What the store keeps of an evaluation: numbers and ids, and no text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..contract.declarations import Normaliser
from ..inference.predictions import Prediction
from ..store.documents import write_json
from ..workspace import Workspace


@dataclass(frozen=True)
class Evaluation:
    """The metrics of one target on one task's records; `normaliser` is None where no labels were scored."""

    task: str
    target: str
    n: int
    metrics: Mapping[str, float]
    counts: Mapping[str, int]
    normaliser: Normaliser | None = None


def write_report(workspace: Workspace, done: Evaluation, predictions: Sequence[Prediction]) -> None:
    """Write an evaluation with its predictions to the store's reports."""
    name = f"{done.task}-{done.target.replace(':', '-')}"
    body = {"task": done.task, "with": done.target, "base": workspace.base.name, "n": done.n}
    body |= {"metrics": dict(done.metrics), "counts": dict(done.counts), "normaliser": done.normaliser}
    write_json(workspace.store.report(name), body | {"records": list(map(_row, predictions))})


def _row(prediction: Prediction) -> dict[str, Any]:
    """What a report keeps of a prediction: numbers, one per option or of options, and the id."""
    gold = [prediction.options.index(label) for label in prediction.gold if prediction.options]
    found = [prediction.options.index(label) for label in prediction.labels]
    row: dict[str, Any] = {"id": prediction.id, "gold": gold, "scores": _rounded(prediction.scores), "labels": found}
    if of := prediction.likelihoods:
        row |= {"sums": _rounded(of.sums), "tokens": of.tokens, "token_means": _rounded(of.token_means)}
        row |= {"character_means": _rounded(of.character_means), "unconditional": _rounded(of.unconditional)}
    return row


def _rounded(numbers: Sequence[float]) -> list[float]:
    return [round(number, 5) for number in numbers]
