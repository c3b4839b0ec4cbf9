"""Medication: which of the most frequent drugs are given in an admission, from what is known when it begins."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mdkif import ConversionReport, Record

from .edition import Edition
from .labels import label_records
from .options import Options

REQUEST = "Which medications are given in this admission?"

DISCHARGE_LIST = re.compile(
    r"^[^\w\n]{0,9}(\d{1,2}[^\w\n]{1,9})?(discharge\s+med|med\w*\s+(on|at|upon)\s+discharge)",
    re.IGNORECASE | re.MULTILINE,
)
"""A line that begins the list of drugs the patient is sent home with, header or not."""


def medication(edition: Edition, conversion: ConversionReport, options: Options) -> Iterator[Record]:
    """One record per admission with a discharge summary that tells what was known at admission.

    The answer is what PRESCRIPTIONS says. A note repeats it at its end, so whatever follows the list
    of discharge medications is not read, wherever a section is taken to begin.
    """
    yield from label_records(
        edition,
        conversion,
        options,
        view="medication",
        request=REQUEST,
        read=lambda: edition.drugs(conversion),
        titles={},
        cut=lambda note: DISCHARGE_LIST.split(note, maxsplit=1)[0],
        what="prescription",
    )
