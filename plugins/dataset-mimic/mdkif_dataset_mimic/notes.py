"""Discharge summaries, streamed twice: first to learn which rows there are, then to read their texts.

Only ids, counts and the parts of summaries that are not yet whole are held, however many notes there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from mdkif import BadInput, ConversionReport

from .edition import Edition, Part
from .tables import find_table


class Note(NamedTuple):
    """The text of an admission, and where its report begins."""

    patient: str
    admission: str
    text: str
    source: str


def count_parts(edition: Edition, conversion: ConversionReport) -> Counter[str]:
    """How many rows make up the discharge summary of each admission."""
    return Counter(part.admission for part in _first_reading(edition, conversion))


def whole_notes(edition: Edition, counts: Mapping[str, int], conversion: ConversionReport) -> Iterator[Note]:
    """The discharge summary of each admission, its report first and then its addenda by date.

    With the counts of `count_parts` a note is told as soon as its last row is read.
    """
    waiting: dict[str, list[Part]] = {}
    for part in edition.parts(conversion):
        held = waiting.setdefault(part.admission, [])
        held.append(part)
        if len(held) < counts[part.admission]:
            continue
        held.sort(key=lambda part: (part.addendum, part.date, part.line))
        yield Note(part.patient, part.admission, "\n\n".join(part.text for part in held), held[0].source)
        del waiting[part.admission]


def newest_parts(edition: Edition, conversion: ConversionReport) -> dict[str, tuple[str, int]]:
    """Date and line of the last row of each admission, be it report or addendum."""
    newest: dict[str, tuple[str, int]] = {}
    for part in _first_reading(edition, conversion):
        newest[part.admission] = max((part.date, part.line), newest.get(part.admission, ("", 0)))
    return newest


def last_notes(edition: Edition, newest: Mapping[str, tuple[str, int]], conversion: ConversionReport) -> Iterator[Note]:
    """The last row alone of each admission, as `newest_parts` found it; earlier ones are counted."""
    for part in edition.parts(conversion):
        if newest[part.admission] == (part.date, part.line):
            yield Note(part.patient, part.admission, part.text, part.source)
        else:
            conversion.leave_out("part of a discharge summary before the last")


def _first_reading(edition: Edition, conversion: ConversionReport) -> Iterator[Part]:
    """The parts, counting nothing, as they are read again. Raises BadInput if there are none."""
    table = edition.note_table
    if find_table(edition.notes, table) is None:
        raise BadInput(
            f"The data set '{edition.name}' reads notes and {edition.notes} has no {table} table: {edition.note_remedy}"
        )
    part = None
    for part in edition.parts(ConversionReport(skip_bad=conversion.skip_bad)):
        yield part
    if part is None:
        raise BadInput(
            f"The data set '{edition.name}' reads notes and {table} in {edition.notes} has no discharge summary: "
            f"{edition.note_remedy}"
        )
