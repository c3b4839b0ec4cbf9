"""The numbers that shortcuts go by: one of an option, and one of a record where every record has the same options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log1p
from typing import Protocol

from mdkif import Record, question_of

from .texts import jaccard, two_texts


class Feature(Protocol):
    """One number about an option, or about a whole record."""

    def of_option(self, record: Record, option: str) -> float:
        """The number of one of a record's options."""

    def of_record(self, record: Record) -> float:
        """The number of what is asked, whatever the options."""


class Characters:
    """The logarithm of the characters."""

    def of_option(self, record: Record, option: str) -> float:
        """Of the option."""
        return log1p(len(option))

    def of_record(self, record: Record) -> float:
        """Of question and context, without the options."""
        return log1p(len(question_of(record)) + len(record.context))


@dataclass(frozen=True)
class Overlap:
    """The Jaccard index of what `parts` finds in two texts."""

    parts: Callable[[str], frozenset[str]]

    def of_option(self, record: Record, option: str) -> float:
        """Of the option, and question with context."""
        return jaccard(self.parts(option), self.parts(f"{question_of(record)} {record.context}"))

    def of_record(self, record: Record) -> float:
        """Of the two lines of the context, or of question and context."""
        one, other = two_texts(record)
        return jaccard(self.parts(one), self.parts(other))
