"""Rules for evaluators: their metrics on random predictions."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

from ..contract.declarations import Evaluator
from ..errors import BadInput
from ..inference.predictions import Prediction, metrics_of
from ..inspection.finding import Finding, findings

LABELS = ("asthma", "gout", "sepsis")


def evaluator(declared: Evaluator, subject: str) -> Iterator[Finding]:
    """The rules for an evaluator, on scored single and multiple labels, on entities and on free text."""
    yield from findings(subject, RULES, declared)


def _measured(declared: Evaluator) -> Iterator[tuple[str, Sequence[Prediction], Mapping[str, float]]]:
    """The metrics of each kind of predictions that the evaluator takes."""
    for name, predictions in _all_kinds().items():
        with suppress(BadInput):  # it says that such predictions are not its work
            yield name, predictions, metrics_of(declared, predictions, predictions)


def _sound(declared: Evaluator) -> Iterator[str]:
    for kind, _, metrics in _measured(declared):
        for name, value in metrics.items():
            if not math.isfinite(value):
                yield f"On {kind} the metric '{name}' is {value}: leave out a metric where it is undefined."
            if declared.metrics.get(name) and not 0 <= value <= 1:
                yield f"On {kind} the metric '{name}' is {value}: give a share between 0 and 1, to be compared."


def _declared(declared: Evaluator) -> Iterator[str]:
    for kind, _, metrics in _measured(declared):
        if unknown := set(metrics) - set(declared.metrics) - {name for name in metrics if _is_count(name)}:
            yield f"On {kind} it computes '{min(unknown)}', which it does not declare: add it to its metrics."


def _counted(declared: Evaluator) -> Iterator[str]:
    for kind, predictions, metrics in _measured(declared):
        if metrics.get("n") != len(predictions):
            yield f"On {kind} it does not say the number of predictions: add it as 'n'."


def _any_order(declared: Evaluator) -> Iterator[str]:
    for kind, predictions, metrics in _measured(declared):
        shuffled = random.Random(1).sample(list(predictions), len(predictions))
        other = metrics_of(declared, shuffled, shuffled)
        if any(not math.isclose(value, other.get(name, math.nan), abs_tol=1e-9) for name, value in metrics.items()):
            yield f"Its metrics of {kind} change with the order of the predictions: sum over all, in any order."


def _empty(declared: Evaluator) -> Iterator[str]:
    if metrics_of(declared, []) != {"n": 0}:
        yield 'Without predictions it must return {"n": 0}.'


def _is_count(name: str) -> bool:
    return name == "n" or name.endswith("_undefined")


def _all_kinds() -> dict[str, list[Prediction]]:
    draw = random.Random(0)
    made: dict[str, list[Prediction]] = {"single labels": [], "several labels": [], "entities": [], "free text": []}
    for i in range(40):
        scores = tuple(draw.uniform(-9, 0) for _ in LABELS)
        gold = (draw.choice(LABELS),)
        several = tuple(label for label in LABELS if draw.random() < 0.4)
        common = {"id": str(i), "options": LABELS, "scores": scores}
        made["single labels"].append(Prediction(gold=gold, answer=gold[0], **common))  # type: ignore[arg-type]
        made["several labels"].append(
            Prediction(gold=several, answer="; ".join(several), multi_label=True, **common)  # type: ignore[arg-type]
        )
        lines = [f"problem: {label}" for label in several]
        text = "\n".join(f"problem: {label}" for label in LABELS if draw.random() < 0.4)
        made["entities"].append(Prediction(id=str(i), gold=tuple(lines), answer="\n".join(lines), text=text))
        words = " ".join(draw.choices(LABELS, k=5))
        made["free text"].append(Prediction(id=str(i), gold=(), answer=words, text=" ".join(draw.choices(LABELS, k=5))))
    return made


RULES: dict[str, Callable[[Evaluator], Iterable[str]]] = {
    "its metrics are finite, and shares where more is better": _sound,
    "it declares what it computes": _declared,
    "it counts the predictions": _counted,
    "its metrics do not depend on the order": _any_order,
    "no predictions have no metrics": _empty,
}
