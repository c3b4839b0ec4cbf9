"""A task whose records list options, as texts to classify."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mdkif import BadInput, Given, Record, question_of


@dataclass(frozen=True)
class Problem:
    """Either one text for each record, told apart into the `shared` options, or one for each option of its own.

    With `several` any number of the options may be right.
    """

    shared: tuple[str, ...]
    several: bool

    @classmethod
    def of(cls, given: Given) -> Problem:
        """The problem that the examples and records are. Raises BadInput without examples that say what is right."""
        if not any(each.labels for each in given.examples):
            raise BadInput("None of the examples says which option is right: give others, or more --shots.")
        first = given.records[0].options
        same = all(each.options == first for each in (*given.records, *given.examples))
        several = given.answering.multi_label or any(len(each.labels) != 1 for each in given.examples)
        return cls(first if same else (), several)

    @property
    def outputs(self) -> int:
        """How many numbers a classifier gives for a text."""
        return len(self.shared) or 1

    def texts(self, record: Record) -> list[str]:
        """What is classified: all outputs of a record's texts together are one for each option."""
        return [asked(record)] if self.shared else [f"{option} | {asked(record)}" for option in record.options]


def asked(record: Record) -> str:
    """Question and context, without the options."""
    return f"{question_of(record)} {record.context}"


def words(text: str) -> list[str]:
    """The words of a text in lower case.

    >>> words("Acute renal-failure.")
    ['acute', 'renal', 'failure']
    """
    return re.findall(r"\w+", text.casefold())


def right(records: Sequence[Record]) -> list[list[bool]]:
    """For each record, whether each of its options is right."""
    return [[option in record.labels for option in record.options] for record in records]
