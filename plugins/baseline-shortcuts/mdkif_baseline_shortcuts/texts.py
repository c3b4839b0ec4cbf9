"""What two texts have in common, by their surface."""

from __future__ import annotations

import re
from collections.abc import Set

from mdkif import Record, question_of

SENTENCE = re.compile(r".{20,}?[.!?](?=\s|$)", re.DOTALL)
LABELLED = re.compile(r"^[\w ]{1,30}:\s*")


def words(text: str) -> frozenset[str]:
    """The words of a text, whatever their case.

    >>> sorted(words("Acute renal failure; ACUTE!"))
    ['acute', 'failure', 'renal']
    """
    return frozenset(re.findall(r"\w+", text.casefold()))


def jaccard(one: Set[str], other: Set[str]) -> float:
    """The share of what two sets have in common (Jaccard, 1901); of two empty ones 0."""
    either = len(one | other)
    return len(one & other) / either if either else 0.0


def two_texts(record: Record) -> tuple[str, str]:
    """What a question is about twice: the two lines of its context, without what they are called, or question and it.

    >>> two_texts(Record(id="1", query="A kind of?", context="concept 1: gout\\nconcept 2: arthritis", answer="no"))
    ('gout', 'arthritis')
    """
    lines = [line for line in record.context.splitlines() if line.strip()]
    if len(lines) == 2:
        return LABELLED.sub("", lines[0]), LABELLED.sub("", lines[1])
    return question_of(record), record.context


def first_sentence(text: str) -> str:
    """The first sentence of a text, of twenty characters at least: an initial or a number in a list is none.

    >>> first_sentence("Dr. Smith saw the patient at home. She slept.")
    'Dr. Smith saw the patient at home.'
    """
    found = SENTENCE.match(text.strip())
    return found[0] if found else text.strip()
