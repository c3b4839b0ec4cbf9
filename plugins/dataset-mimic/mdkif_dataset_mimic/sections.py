"""Sections of a discharge summary, so that a task reads only what it may know."""

from __future__ import annotations

import re
from collections.abc import Collection

HEADER = re.compile(r"^[ \t]*([A-Z][A-Za-z][A-Za-z /&()'-]{1,60}):[ \t]*", re.MULTILINE)

SIGNATURE = re.compile(r"(^|\n)[ \t]*\[\*\*[^\]]{0,200}\*\*\][^\n]*\Z")
"""A last line that begins with a mark of MIMIC-III: the physician's name."""

ADMISSION = frozenset(
    {
        *("chief complaint", "chief complaints", "reason for admission", "allergies", "allergy"),
        *("history of present illness", "history of the present illness", "present illness", "hpi"),
        *("past medical history", "medical history", "past medical history (pmh)", "pmh", "past surgical history"),
        *("past medical/surgical history", "past medical and surgical history", "past history"),
        *("medications on admission", "medication on admission", "admission medications", "home medications"),
        *("medications at home", "medications prior to admission", "meds on admission", "outpatient medications"),
        *("physical exam", "physical examination", "physical exam on admission", "physical examination on admission"),
        *("admission physical exam", "admission exam", "exam on admission"),
        *("family history", "social history"),
    }
)
"""The headers under which is told what was known when the patient came, after the section list of CORe."""


def sections(note: str) -> list[tuple[str, str]]:
    """(lower-case header, text) in order; what precedes the first header has the header "".

    A header is a capitalised phrase that begins a line and ends in a colon, as in MIMIC.
    """
    found, header, start = [], "", 0
    for mark in HEADER.finditer(note):
        found.append((header, note[start : mark.start()].strip()))
        header, start = mark[1].lower(), mark.end()
    return [*found, (header, note[start:].strip())]


def only(note: str, wanted: Collection[str]) -> str:
    """The wanted sections' text as running prose: line breaks and de-identified signatures are left out."""
    kept = " ".join(SIGNATURE.sub("", text) for header, text in sections(note) if header in wanted)
    return " ".join(kept.split())
