"""MeQSum as its authors distribute it: one workbook whose sheet `QS` has the columns File, CHQ and Summary."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from zipfile import BadZipFile

from mdkif import BadInput, Conversion, Record

SHEET = "QS"
HEADER = ("File", "CHQ", "Summary")


def convert(source: Path, conversion: Conversion) -> Iterator[Record]:
    """The 1,000 questions, grouped by normalised summary because six summaries occur twice.

    `source` is the repository's folder or the workbook itself. Cells right of the third column are strays
    and ignored. The file has no splits. Raises BadInput for another workbook.
    """
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    path = _workbook(source)
    try:
        book = load_workbook(path, read_only=True, data_only=True)
    except (BadZipFile, InvalidFileException, KeyError):  # KeyError: a zip archive without a workbook in it
        raise BadInput(f"{path} is not a workbook: take MeQSum's .xlsx anew.") from None
    try:
        if SHEET not in book.sheetnames:
            raise BadInput(f"{path} has no sheet '{SHEET}': take MeQSum's own workbook.")
        rows = ([_text(cell) for cell in row[:3]] for row in book[SHEET].iter_rows(values_only=True))
        if tuple(next(rows, ())) != HEADER:
            raise BadInput(f"{path} does not begin with the columns {', '.join(HEADER)}: take MeQSum's own workbook.")
        for number, row in enumerate(rows, 2):
            if not any(row):
                continue
            _, question, summary = [*row, "", ""][:3]
            if not (question and summary):
                conversion.malformed(path, number, "has no question or no summary")
                continue
            yield Record(
                id=f"meqsum/{number}",
                query="Summarise the question.",
                context=question,
                answer=summary,
                group=" ".join(re.findall(r"\w+", summary.casefold())),
                source=f"{path.name}:{number}",
            )
    finally:
        book.close()


def _workbook(source: Path) -> Path:
    if source.is_file():
        return source
    found = sorted(source.glob("MeQSum*.xlsx"))
    if not found:
        raise BadInput(f"There is no MeQSum*.xlsx in {source}: give the folder of the MeQSum repository.")
    return found[0]


def _text(cell: object) -> str:
    return "" if cell is None else str(cell).strip()
