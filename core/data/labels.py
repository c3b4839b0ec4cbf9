"""How labels and entities are written as an answer, and read back from the text a model generated."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from .records import Record, RecordError

NONE = "none"
"""The answer of a record that no label fits, or without entities."""


def format_choices(request: str, options: Sequence[str], gold: Sequence[str]) -> dict[str, Any]:
    """The record fields of a closed-label query: every valid label is listed, the gold ones are spans.

    Returns `query`, `answer`, `options`, `labels` and `spans`, the papers' form of text classification.

    >>> format_choices("Does the premise entail the hypothesis?", ["yes", "no"], ["no"])["query"]
    'Does the premise entail the hypothesis? Choose from: yes; no.'
    """
    query, spans = _listed(request, tuple(options))
    if missing := set(gold) - set(options):
        raise RecordError(
            f"{len(missing)} gold label(s) are not among the {len(options)} options: list every valid label."
        )
    labels = tuple(option for option in options if option in set(gold))
    return {
        "query": query,
        "answer": joined(labels),
        "options": tuple(options),
        "labels": labels,
        "spans": tuple(spans[label] for label in labels),
    }


def question_of(record: Record) -> str:
    """What a record asks, without the options that its query lists.

    >>> fields = format_choices("Is it late?", ["yes", "no"], ["no"])
    >>> question_of(Record(id="1", **fields))
    'Is it late?'
    """
    listed = _listed("", record.options)[0]
    if record.options and record.query.endswith(listed):
        return record.query.removesuffix(listed)
    text = record.query
    for option in sorted(record.options, key=len, reverse=True):
        text = text.replace(option, " ")
    return " ".join(text.split())


@lru_cache(maxsize=64)
def _listed(request: str, options: tuple[str, ...]) -> tuple[str, dict[str, tuple[int, int]]]:
    """The query that lists the options, and where each stands; most records of a data set share it."""
    query, spans = f"{request} Choose from: ", {}
    for position, option in enumerate(options):
        spans[option] = (len(query), len(query) + len(option))
        query += option + ("; " if position + 1 < len(options) else ".")
    return query, spans


def joined(labels: Sequence[str]) -> str:
    """Labels as one answer."""
    return "; ".join(labels) or NONE


def parse_choices(text: str, options: Sequence[str]) -> tuple[str, ...]:
    """The labels a generated answer names, in the order of `options`: the inverse of `format_choices`.

    Case does not matter; what is no label is passed over.

    >>> parse_choices("Sepsis; something else; asthma", ["asthma", "sepsis", "gout"])
    ('asthma', 'sepsis')
    """
    longest_first = sorted(options, key=len, reverse=True)
    found, rest = set(), text.strip()
    while rest:
        for option in longest_first:
            after = rest[len(option) :]
            if rest[: len(option)].casefold() == option.casefold() and (after in ("", ".") or after[:2] == "; "):
                found.add(option)
                rest = after[2:].lstrip()
                break
        else:
            rest = rest.partition("; ")[2].lstrip()
    return tuple(option for option in options if option in found)


def format_entities(context: str, entities: Iterable[tuple[str, int, int]]) -> dict[str, Any]:
    """The record fields of entities of a context, each (type, start, end), as in the papers' Figure 3.

    Returns `answer`, one line "type: entity" each in the order of the text, `labels`, the same lines,
    and `spans`, character offsets in the context.

    >>> format_entities("He takes insulin.", [("treatment", 9, 16)])["answer"]
    'treatment: insulin'
    """
    ordered = sorted(set(entities), key=lambda entity: (entity[1], entity[2], entity[0]))
    labels = tuple(f"{kind}: {' '.join(context[start:end].split())}" for kind, start, end in ordered)
    return {
        "answer": "\n".join(labels) or NONE,
        "labels": labels,
        "spans": tuple((start, end) for _, start, end in ordered),
    }


def parse_entities(text: str) -> tuple[str, ...]:
    """The entities a generated answer names, as "type: entity": the inverse of `format_entities`.

    >>> parse_entities("problem: sepsis\\nand so on\\ntest:  culture ")
    ('problem: sepsis', 'test: culture')
    """
    pairs = (line.partition(":")[::2] for line in text.splitlines())
    clean = ((kind.strip(), " ".join(entity.split())) for kind, entity in pairs)
    return tuple(f"{kind}: {entity}" for kind, entity in clean if kind and entity)
