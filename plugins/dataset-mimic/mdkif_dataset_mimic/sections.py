"""Sections of a discharge summary, so that a task reads only what it may know."""

from __future__ import annotations

import re
from collections.abc import Collection

HEADER = re.compile(r"^[ \t]*([A-Z][A-Za-z][A-Za-z /&-]{1,60}):[ \t]*", re.MULTILINE)


def sections(note: str) -> list[tuple[str, str]]:
    """(lower-case header, text) in order; what precedes the first header has the header "".

    A header is a capitalised phrase that begins a line and ends in a colon, as in MIMIC-III.
    """
    marks = list(HEADER.finditer(note))
    starts = [("", 0, marks[0].start() if marks else len(note))]
    ends = [mark.start() for mark in marks[1:]] + [len(note)]
    starts += [(mark[1].lower(), mark.end(), end) for mark, end in zip(marks, ends, strict=True)]
    return [(header, note[start:end].strip()) for header, start, end in starts]


def only(note: str, wanted: Collection[str]) -> str:
    """The wanted sections' text as running prose: line breaks and de-identified signatures are left out."""
    kept = [
        re.sub(r"\s*\[\*\*[^\]]*\*\*\][^\n]*$", "", text).strip() for header, text in sections(note) if header in wanted
    ]
    return " ".join(" ".join(kept).split())
