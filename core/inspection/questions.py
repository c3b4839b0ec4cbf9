"""Invented questions that can be learnt, and what a baseline is given to learn from and answer them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Literal

from ..contract.declarations import Source, Task
from ..data.labels import format_choices
from ..data.records import Record
from ..evaluation.baseline import Given
from ..inference.predict import Answering

Kind = Literal["labels", "choices", "several", "text"]
KINDS: dict[str, Kind] = {
    "records that list the same options": "labels",
    "records that list options of their own": "choices",
    "records with any number of labels": "several",
    "records that list no options": "text",
}
SIGNS = {"asthma": "wheeze", "gout": "toe", "sepsis": "fever"}
WORDS = ("clinic", "morning", "patient", "seen", "since", "week", "told", "home", "again", "pain")


def questions(kind: Kind, count: int, seed: int = 0) -> list[Record]:
    """That many records of a kind, of which a word tells what is right.

    "labels" have one right of the same three, "choices" one of three options of their own, "several" any number of
    the same three, and "text" a short free answer.
    """
    draw = random.Random(f"{kind}:{seed}")
    return [_question(kind, f"{kind}/{seed}/{number}", draw) for number in range(count)]


def given_to(
    records: Sequence[Record], examples: Sequence[Record], seed: int = 0, *, multi_label: bool = False, **more: Any
) -> Given:
    """What a baseline is given that answers `records` and learns from `examples`, of an invented task."""
    task = Task(
        name="questions",
        title="Invented questions",
        category="question-answering",
        sources=(Source(dataset="questions"),),
        template="question-answering.jinja",
        package=__name__,
        multi_label=multi_label,
        track="unseen data",
        evaluator="classification",
        metric="accuracy",
    )
    return Given(task=task, records=records, examples=examples, seed=seed, answering=Answering.of(task), **more)


def _question(kind: Kind, name: str, draw: random.Random) -> Record:
    labels = [label for label in SIGNS if draw.random() < 0.4] if kind == "several" else [draw.choice(list(SIGNS))]
    told = draw.choices(WORDS, k=8) + [SIGNS[label] for label in labels]
    draw.shuffle(told)
    context = f"{' '.join(told).capitalize()}."
    if kind == "text":
        return Record(id=name, query="What was seen?", context=context, answer=f"signs of {labels[0]}")
    options = list(SIGNS)
    if kind == "choices":
        options = [f"{label} since {draw.choice(WORDS)} {draw.randrange(10_000)}" for label in SIGNS]
        labels = [option for option in options if option.split()[0] in labels]
        draw.shuffle(options)
    return Record(id=name, context=context, **format_choices("What is it?", options, labels))
