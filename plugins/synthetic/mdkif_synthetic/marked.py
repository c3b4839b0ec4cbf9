"""Sentences in which it is known what each phrase names, so that files can mark it or tell where it stands."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random

from .knowledge import Condition
from .umls import Key
from .wording import capital

TYPES = {"condition": "problem", "finding": "problem", "drug": "treatment", "exam": "test", "dose": "dosage"}


@dataclass(frozen=True, slots=True)
class Mention:
    """A phrase that names a thing; `key` is its kind and its name, as the concepts of UMLS have them."""

    text: str
    key: Key

    @property
    def type(self) -> str:
        """Problem, test or treatment, as i2b2 has it."""
        return TYPES[self.key[0]]


Marked = tuple[str | Mention, ...]


def tell(sentence: str, **things: str | Mention) -> Marked:
    """A sentence with its {things} filled in, and a capital at its beginning.

    >>> tell("{drug} was given.", drug=Mention("lisinopril", ("drug", "lisinopril")))
    (Mention(text='Lisinopril', key=('drug', 'lisinopril')), ' was given.')
    """
    first, *rest = [things[part] if odd % 2 else part for odd, part in enumerate(_parts(sentence)) if part]
    if isinstance(first, str):
        return capital(first), *rest
    return Mention(capital(first.text), first.key), *rest


def joined(sentences: Sequence[Marked], between: str = " ") -> Marked:
    """Sentences one after the other."""
    first, *rest = sentences
    return (*first, *(piece for sentence in rest for piece in (between, *sentence)))


def plain(marked: Marked) -> str:
    """The text alone."""
    return "".join(piece if isinstance(piece, str) else piece.text for piece in marked)


def located(marked: Marked) -> Iterator[tuple[Mention, int]]:
    """Each mention with the place of its first character in the text."""
    start = 0
    for piece in marked:
        if isinstance(piece, Mention):
            yield piece, start
        start += len(piece if isinstance(piece, str) else piece.text)


def named(rng: Random, condition: Condition) -> Mention:
    """A condition by one of its synonyms."""
    return Mention(rng.choice(condition.synonyms), ("condition", condition.name))


def seen(rng: Random, condition: Condition) -> Mention:
    """One of the findings of a condition."""
    finding = rng.choice(condition.findings)
    return Mention(finding, ("finding", finding))


def given(drug: str) -> Mention:
    """A drug by its name."""
    return Mention(drug, ("drug", drug))


def examined(condition: Condition) -> Mention:
    """The examination that shows a condition."""
    return Mention(condition.exam, ("exam", condition.exam))


@cache
def _parts(sentence: str) -> list[str]:
    return re.split(r"\{(\w+)\}", sentence)
