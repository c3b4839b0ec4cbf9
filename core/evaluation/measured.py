"""A report's metric over any of its records, from the numbers that the report holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput
from ..inference.predictions import Prediction
from .report import Evaluate

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
SAME, ROUNDED = 1e-9, 5e-3


@dataclass(frozen=True, eq=False)
class Measured:
    """One metric of one report: what each record is, the group it belongs to, and the metric over any records.

    `each` is the metric of every record alone, shape (n,), where the metric is their mean; else it is None, and
    `predictions` with `evaluate` give the metric. What draws of a name came to is `known` from then on.
    """

    metric: str
    value: float
    ids: tuple[str, ...]
    groups: tuple[object, ...]
    each: Floats | None
    predictions: Sequence[Prediction]
    evaluate: Evaluate
    known: dict[str, Floats] = field(default_factory=dict)

    def over(self, times: Integers, name: str = "") -> Floats:
        """The metric of several draws of records, shape (draws,); NaN for a draw in which it is not defined.

        `times` says how often each record is drawn, shape (draws, n); draws with a `name` are computed once.
        """
        if self.each is not None:
            return np.asarray(times @ self.each / times.sum(1))
        if name not in self.known or not name:
            self.known[name] = np.array([self._of(row) for row in times])
        return self.known[name]

    def _of(self, times: Integers) -> float:
        chosen = [self.predictions[i] for i in np.repeat(np.arange(len(times)), times).tolist()]
        return float(self.evaluate(chosen).get(self.metric, np.nan))


def measured(report: Mapping[str, Any], metric: str, evaluate: Evaluate, multi_label: bool = False) -> Measured:
    """A report's metric, ready to be computed over any of its records.

    A report holds no text: the number of an option stands for the option, which serves every metric that only asks
    which options are the same. Raises BadInput for a metric that the report lacks, or that its numbers do not give
    back: of generated text only means over records can be had, and of options that each record orders otherwise
    nothing that compares them across records.
    """
    rows, told = report["records"], report["metrics"].get(metric)
    if told is None:
        raise BadInput(f"The report of '{report['with']}' on '{report['task']}' has no metric '{metric}': it has "
                       f"{', '.join(report['metrics'])}.")  # fmt: skip
    ids = tuple(row["id"] for row in rows)
    groups = tuple(row.get("group", row["id"]) for row in rows)
    predictions = [] if any("alone" in row for row in rows) else _rebuilt(rows, multi_label)
    alone = [evaluate([each]) for each in predictions] or [row.get("alone", {}) for row in rows]
    whole = evaluate(predictions).get(metric, np.nan) if predictions else told
    each = np.array([found.get(metric, np.nan) for found in alone])
    mean = abs(each.mean() - whole) <= SAME
    if not (mean or predictions) or not abs(whole - told) <= ROUNDED:
        raise BadInput(
            f"The metric '{metric}' of '{report['task']}' cannot be computed again from the numbers of a report: "
            "compare means over records, such as exact_match or accuracy."
        )
    return Measured(metric, float(told), ids, groups, each if mean else None, predictions, evaluate)


def _rebuilt(rows: Sequence[Mapping[str, Any]], multi_label: bool) -> list[Prediction]:
    """Predictions whose options are numbers; of labels that were extracted there are as many as any record names."""
    extracted = max((number for row in rows for number in (*row["gold"], *row["labels"])), default=0) + 1
    found = []
    for row in rows:
        options = tuple(map(str, range(len(row["scores"]) or extracted)))
        gold, labels = (tuple(options[number] for number in row[name]) for name in ("gold", "labels"))
        scores = tuple(row["scores"])
        text = options[scores.index(max(scores))] if scores else "; ".join(labels)
        found.append(Prediction(id=row["id"], gold=gold, answer="; ".join(gold), options=options, scores=scores,
                                labels=labels, text=text, multi_label=multi_label))  # fmt: skip
    return found
