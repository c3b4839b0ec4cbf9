"""Rules for evaluators: their metrics on random predictions."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence

from ..contract.declarations import Evaluator
from ..inference.predictions import Prediction
from .finding import Finding, finding

LABELS = ("asthma", "gout", "sepsis")


def evaluator(declared: Evaluator, subject: str) -> Iterator[Finding]:
    """The rules for an evaluator, on scored single and multiple labels, on entities and on free text."""
    for name, predictions in _all_kinds().items():
        yield finding(subject, f"its metrics of {name} are sound", lambda p=predictions: _metrics(declared, p))  # type: ignore[misc]
    yield finding(subject, "no predictions have no metrics", lambda: _empty(declared))


def _metrics(declared: Evaluator, predictions: Sequence[Prediction]) -> Iterator[str]:
    from ..errors import BadInput

    try:
        metrics = declared.load()(predictions)
    except BadInput:  # it says that such predictions are not its work
        return
    for name, value in metrics.items():
        if not math.isfinite(value):
            yield f"The metric '{name}' is {value}: leave out a metric where it is undefined."
        if declared.metrics.get(name) and not 0 <= value <= 1:
            yield f"The metric '{name}' is {value}: give a share between 0 and 1, so that metrics can be compared."
    if unknown := set(metrics) - set(declared.metrics) - {name for name in metrics if _is_count(name)}:
        yield f"It computes '{min(unknown)}', which it does not declare: add it to its metrics."
    if metrics.get("n") != len(predictions):
        yield "It does not say the number of predictions: add it as 'n'."
    other = declared.load()(random.Random(1).sample(list(predictions), len(predictions)))
    if any(not math.isclose(value, other.get(name, math.nan), abs_tol=1e-9) for name, value in metrics.items()):
        yield "Its metrics change with the order of the predictions."


def _empty(declared: Evaluator) -> Iterator[str]:
    if declared.load()([]) != {"n": 0}:
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
