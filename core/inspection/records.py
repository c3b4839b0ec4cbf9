"""Rules that every record keeps, looked at one by one, so that a data set of any size is read whole."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from ..data.records import Record
from .finding import told

RUN = 3
"""So many words of a text in a row tell what it says."""
CUT_WORDS = 0.05
"""More entities than this share that begin or end inside a word are no accident of the data."""
UNSPACED = "\u2e80"
"""From here on scripts are written without spaces, and have no words to begin inside of."""


class RecordRule:
    """A rule that looks at every record of a stream and, at its end, at them all."""

    def look(self, record: Record) -> str:
        """What is wrong with the record and what to do, or nothing."""
        return ""

    def end(self) -> str:
        """What is wrong with the records together, or nothing."""
        return ""


@dataclass
class Examined:
    """How many records were read and, for each rule that is broken, its first problem."""

    records: int = 0
    problems: dict[str, str] = field(default_factory=dict)


def examine(records: Iterable[Record], rules: Mapping[str, RecordRule]) -> Examined:
    """Look at all records by all rules, in one pass. What reading them raises is raised."""
    found, broken = Examined(), dict.fromkeys(rules, 0)
    for record in records:
        found.records += 1
        for name, rule in rules.items():
            if problem := _asked(rule.look, record):
                broken[name] += 1
                found.problems.setdefault(name, problem)
    for name, rule in rules.items():
        if broken[name] > 1:
            found.problems[name] += f" ({broken[name]:,} of {found.records:,} records)"
        elif problem := _asked(rule.end):
            found.problems.setdefault(name, problem)
    return found


def _asked(question: Callable[..., str], *given: Record) -> str:
    try:
        return question(*given)
    except Exception as error:  # a rule may run a plugin's code, such as its template
        return told(error)


class Unique(RecordRule):
    """Ids tell records apart. Of each id eight bytes are kept."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()

    def look(self, record: Record) -> str:
        """A record whose id came before."""
        key, before = _key(record.id), len(self._seen)
        self._seen.add(key)
        repeated = len(self._seen) == before
        return f"The id {record.id} comes twice: add what tells the records apart." if repeated else ""


class Complete(RecordRule):
    """There is something to ask, something to answer, and a place to trace it to."""

    def look(self, record: Record) -> str:
        """A record with an empty field."""
        for name in ("query", "answer", "source"):
            if not getattr(record, name).strip():
                return f"The record {record.id} has an empty {name}: leave such records out, and count them."
        return ""


class Traceable(RecordRule):
    """Ids stand in logs, cards and reports, where no text of a record may stand."""

    def look(self, record: Record) -> str:
        """A record whose id holds words of its text in a row, or all of a short one."""
        own = words(record.id.partition("/")[2] or record.id)  # the name of the data set is no text
        texts = (record.context, "" if record.options else record.answer, asked(record))
        runs = [run for i in range(len(own) - RUN + 1) if any(map(str.isalpha, run := own[i : i + RUN]))]
        if any(holds(text, run) for text in texts for run in runs) or any(_is_short(text, own) for text in texts[:2]):
            return f"The id of the record at {record.source} holds its text: make ids of file, line or the data's own."
        return ""


class Spans(RecordRule):
    """A span is where an answer stands."""

    def look(self, record: Record) -> str:
        """A record with a span that is not a label's or the answer's text."""
        text, where = (record.query, "query") if record.options else (record.context, "context")
        right = {_plain(label.partition(": ")[2] or label) for label in record.labels}
        right |= {_plain(label) for label in (*record.labels, record.answer)}
        if all(_plain(text[start:end]) in right for start, end in record.spans):
            return ""
        remedy = "offsets count from 0 and are half-open"
        return f"A span of the record {record.id} is not a label's or answer's text in the {where}: {remedy}."


class WholeWords(RecordRule):
    """Entities begin and end with words, so that half-open offsets were not taken for closed ones, or moved by one."""

    def __init__(self) -> None:
        self._spans = self._cut = 0
        self._first = ""

    def look(self, record: Record) -> str:
        """A record with an entity that begins or ends in a space."""
        spaced = False
        for start, end in () if record.options else record.spans:
            text = record.context
            self._spans += 1
            spaced |= text[start:end] != text[start:end].strip()
            if _inside(text, start) or _inside(text, end):
                self._cut += 1
                self._first = self._first or record.id
        return f"An entity of the record {record.id} begins or ends in a space: move its offsets." if spaced else ""

    def end(self) -> str:
        """Too many entities that begin or end inside a word."""
        if self._cut <= CUT_WORDS * self._spans:
            return ""
        return (
            f"{self._cut:,} of {self._spans:,} entities begin or end inside a word, the first in the record "
            f"{self._first}: offsets are half-open, from 0, in the context as the record has it."
        )


class Options(RecordRule):
    """A model can only choose what it was shown."""

    def look(self, record: Record) -> str:
        """A record whose query does not list an option."""
        if all(option in record.query for option in record.options):
            return ""
        return f"The query of the record {record.id} does not list every option: use format_choices."


class Groups(RecordRule):
    """What belongs together is learnt from, or tested on, together. Of each group eight bytes are kept."""

    def __init__(self) -> None:
        self._splits: dict[bytes, str] = {}

    def look(self, record: Record) -> str:
        """A record whose group was in another split before."""
        if self._splits.setdefault(_key(record.group), record.split) == record.split:
            return ""
        return (
            f"The group of the record {record.id} is in several splits, so that a test would see what was learnt: "
            "leave the split empty, or give each split groups of its own."
        )


RULES: dict[str, Callable[[], RecordRule]] = {
    "record ids are unique": Unique,
    "records are complete and traceable": Complete,
    "record ids do not hold the text": Traceable,
    "spans match their text": Spans,
    "entities begin and end with words": WholeWords,
    "queries list every option": Options,
    "no group straddles splits": Groups,
}


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def words(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation.

    >>> words("Type-2 diabetes (T2DM).")
    ['type', '2', 'diabetes', 't2dm']
    """
    return re.findall(r"[^\W_]+", text.casefold())


def holds(text: str, run: list[str]) -> bool:
    """Whether some words stand in a row in a text."""
    lowered = text.casefold()
    return all(word in lowered for word in run) and f" {' '.join(run)} " in f" {' '.join(words(lowered))} "


def asked(record: Record) -> str:
    """The query of a record without the place where each option is listed."""
    query = record.query
    for option in sorted(record.options, key=len, reverse=True):
        before, _, after = query.rpartition(option)
        query = before + " \n " + after
    return query


def _is_short(text: str, own: list[str]) -> bool:
    """Whether an id's own words hold all of a text, which is too short for a run of its own."""
    run = words(text) if len(text) < 80 else []
    return 0 < len(run) < RUN and any(len(word) > 3 for word in run) and holds(" ".join(own), run)


def _inside(text: str, place: int) -> bool:
    """Whether a place is between two letters or digits of a word."""
    around = text[max(place - 1, 0) : place + 1]
    return len(around) == 2 and place > 0 and all(c.isalnum() and c < UNSPACED for c in around)
