"""Whether records give their answer away, so that a model need not do the work to be right."""

from __future__ import annotations

from collections import Counter

from ..contract.declarations import PromptedSpec
from ..data.records import Record
from .records import RecordRule, asked, holds, words

FEWEST = 4
"""Fewer records than this say nothing about the others."""
SAID = 0.95
"""Of closed questions: texts that name the right options, and no other, in this share of every label's records."""
ASKED, COPIED = 0.2, 0.5
"""Of open ones: queries that hold the answer in this share, contexts that are little more than it in that."""
MOST_LABELS, MOST_OPTIONS = 200, 60


class GivenAway(RecordRule):
    """The answer follows from what the work is about, not from the words beside it.

    Finding the answer in the context is the work of extraction (entities, reading comprehension), and the
    labels of a closed question are listed in its query: neither is given away. These are: a closed question whose
    text names the right option, and no other, in nearly every record of every label; an open one whose query
    holds the answer; and one whose context is little more than the answer, unless the work is extraction.
    """

    def __init__(self, declared: PromptedSpec) -> None:
        self._extracts = declared.category == "sequence-labelling"
        self._closed: Counter[tuple[str, ...]] = Counter()
        self._named: Counter[tuple[str, ...]] = Counter()
        self._open = self._asked = self._copied = 0

    def look(self, record: Record) -> str:
        """Nothing: what happens once may be chance."""
        if record.options:
            self._look_at_closed(record)
        else:
            self._look_at_open(record)
        return ""

    def end(self) -> str:
        """What gives the answer away in too many records to be chance."""
        remedy = "take it out of what the model reads"
        closed = self._closed.total()
        if closed >= FEWEST and len(self._closed) > 1 and self._tell():
            named = f"{self._named.total():,} of {closed:,} records"
            return f"The text names the right label, and no other, in {named}: {remedy}."
        if self._open < FEWEST:
            return ""
        if self._asked > ASKED * self._open:
            return f"The query holds the answer in {self._asked:,} of {self._open:,} records: {remedy}."
        if self._copied > COPIED * self._open:
            return (
                f"The context is little more than the answer in {self._copied:,} of {self._open:,} records: {remedy}."
            )
        return ""

    def _look_at_closed(self, record: Record) -> None:
        if not record.labels or len(record.options) > MOST_OPTIONS:
            return
        labels = record.labels if record.labels in self._closed or len(self._closed) < MOST_LABELS else ("others",)
        text = f"{asked(record)} \n {record.context}"
        self._closed[labels] += 1
        self._named[labels] += {option for option in record.options if holds(text, words(option))} == {*record.labels}

    def _tell(self) -> bool:
        return all(self._named[labels] >= SAID * count for labels, count in self._closed.items())

    def _look_at_open(self, record: Record) -> None:
        answer = words(record.answer)
        if not answer or not record.answer.strip():
            return
        self._open += 1
        self._asked += holds(record.query, answer)
        if not self._extracts and len(record.context) < 4 * len(record.answer):
            self._copied += len(answer) >= 0.8 * len(words(record.context)) and holds(record.context, answer)
