"""Sections of a discharge summary, so that a task reads only what it may know."""

from __future__ import annotations

import re
from collections.abc import Collection

HEADER = re.compile(r"^[ \t]*([A-Z][A-Za-z][A-Za-z /&-]{1,60}):[ \t]*", re.MULTILINE)


def sections(note: str) -> list[tuple[str, str]]:
    """(lower-case header, text) in order; what precedes the first header has the header "".

    A header is a capitalised phrase that begins a line and ends in a colon, as in MIMIC-III.
    """
    found, header, start = [], "", 0
    for mark in HEADER.finditer(note):
        found.append((header, note[start : mark.start()].strip()))
        header, start = mark[1].lower(), mark.end()
    return [*found, (header, note[start:].strip())]


def only(note: str, wanted: Collection[str]) -> str:
    """The wanted sections' text as running prose: line breaks and de-identified signatures are left out."""
    kept = [
        re.sub(r"\s*\[\*\*[^\]]*\*\*\][^\n]*$", "", text).strip() for header, text in sections(note) if header in wanted
    ]
    return " ".join(" ".join(kept).split())
