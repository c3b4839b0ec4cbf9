"""Rules for baselines: what they answer to invented questions, where they use records alone."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace

from ..contract.declarations import Baseline
from ..data.records import Record
from ..errors import BadInput
from ..evaluation.baseline import BaselineMethod, Given, kind_of
from ..inference.predictions import Prediction
from ..inspection.finding import Finding, finding
from ..inspection.questions import KINDS, given_to, questions
from ..inspection.surroundings import one_thread

LEARNT, ASKED = 60, 20


def baseline(declared: Baseline, subject: str) -> Iterator[Finding]:
    """The rules for a baseline; one that uses a model is not asked to answer."""
    for rule, problems in RULES.items():
        if declared.uses == "records" or rule == DEFAULTS:
            with one_thread():
                found = finding(subject, rule, lambda p=problems: p(declared))  # type: ignore[misc]
            yield found


def _defaults(declared: Baseline) -> Iterator[str]:
    if not isinstance(declared.load()(), BaselineMethod):
        yield f"Its target {declared.target} is none: name a class that inherits from mdkif.BaselineMethod."


def _all_kinds(declared: Baseline) -> Iterator[tuple[str, Given, list[Prediction]]]:
    """What it is given of each kind of records that it takes, and answers; it may refuse, as one without its files."""
    for told, kind in KINDS.items():
        examples, records = questions(kind, LEARNT, 1), questions(kind, ASKED, 2)
        given = given_to(records, examples, seed=3, multi_label=kind == "several")
        with suppress(BadInput):
            if declared.takes in ("", kind_of(records)):
                yield told, given, _answers(declared, given)


def _answers(declared: Baseline, given: Given) -> list[Prediction]:
    method: BaselineMethod = declared.load()()
    return method.answers(given)


def _every(declared: Baseline) -> Iterator[str]:
    for told, given, found in _all_kinds(declared):
        if [each.id for each in found] != [record.id for record in given.records]:
            yield f"Of {told} it does not answer each once, in the order given: make given.prediction of every record."
        if any(each.gold != record.labels for each, record in zip(found, given.records, strict=False)):
            yield f"Its answers to {told} do not say what is right: make them by given.prediction."


def _scored(declared: Baseline) -> Iterator[str]:
    for told, given, found in _all_kinds(declared):
        for each in found if kind_of(given.records) == "options" else ():
            if len(each.scores) != len(each.options) or not all(map(math.isfinite, each.scores)):
                yield f"To {told} it gives no finite score for each option: give scores, higher where likelier."


def _blind(declared: Baseline) -> Iterator[str]:
    for told, given, found in _all_kinds(declared):
        again = _answers(declared, replace(given, records=[_otherwise(record) for record in given.records]))
        if [_said(each) for each in found] != [_said(each) for each in again]:
            yield f"Its answers to {told} change with what is right: look at answer and labels of examples alone."


def _seeded(declared: Baseline) -> Iterator[str]:
    import numpy as np
    import torch

    def states() -> tuple[object, ...]:
        return random.getstate(), torch.get_rng_state().tolist(), str(np.random.get_state())

    for told, given, found in _all_kinds(declared):
        random.random(), np.random.rand(), torch.rand(1)  # the second run finds other states than the first
        before = states()
        again = _answers(declared, given)
        if [_said(each) for each in found] != [_said(each) for each in again]:
            yield f"The same seed answers {told} otherwise: draw from a generator of your own, seeded with given.seed."
        if states() != before:
            yield "It changes the random state of Python, NumPy or PyTorch: use a generator, or put the state back."


def _otherwise(record: Record) -> Record:
    """The same question with another answer."""
    labels = tuple(option for option in record.options if option not in record.labels)[:1]
    return replace(record, labels=labels, answer=labels[0] if labels else "something else", spans=())


def _said(prediction: Prediction) -> tuple[object, ...]:
    return prediction.text, prediction.labels, tuple(round(score, 9) for score in prediction.scores)


DEFAULTS = "its settings have defaults"
RULES: dict[str, Callable[[Baseline], Iterable[str]]] = {
    DEFAULTS: _defaults,
    "answers every record it takes": _every,
    "scores every option": _scored,
    "does not see what is right": _blind,
    "draws by its seed, and leaves others' random numbers alone": _seeded,
}
