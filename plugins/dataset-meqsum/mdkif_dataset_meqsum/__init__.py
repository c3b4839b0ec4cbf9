"""MeQSum as its authors distribute it: one workbook whose sheet `QS` has the columns File, CHQ and Summary."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from mdkif import BadInput, ConversionReport, Dataset, Record, hookimpl

SHEET = "QS"
HEADER = ("File", "CHQ", "Summary")


@hookimpl
def mdkif_datasets() -> list[Dataset]:
    """The data set `meqsum`."""
    return [
        Dataset(
            name="meqsum",
            title="MeQSum: consumer health questions with expert summaries",
            target="mdkif_dataset_meqsum:convert",
            licence="CC BY 4.0",
            access="open",
            homepage="https://github.com/abachaa/MeQSum",
            citation="Ben Abacha and Demner-Fushman 2019, On the Summarization of Consumer Health Questions, ACL",
        )
    ]


def convert(source: Path, conversion: ConversionReport) -> Iterator[Record]:
    """The 1,000 questions, grouped by normalised summary because six summaries occur twice.

    `source` is the repository's folder or the workbook itself. Cells right of the third column are strays
    and ignored. The file has no splits. Raises BadInput for another workbook.
    """
    path = _workbook(source)
    for number, (_, question, summary) in _rows(path):
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


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The first three cells of each row below the header that has any, with its number."""
    from openpyxl import load_workbook

    try:
        with closing(load_workbook(path, read_only=True, data_only=True)) as book:
            if SHEET not in book.sheetnames:
                raise BadInput(f"{path} has no sheet '{SHEET}': take MeQSum's own workbook.")
            rows = ([_text(cell) for cell in (*row, "", "")[:3]] for row in book[SHEET].iter_rows(values_only=True))
            if tuple(next(rows, ())) != HEADER:
                names = ", ".join(HEADER)
                raise BadInput(f"{path} does not begin with the columns {names}: take MeQSum's own workbook.")
            yield from ((number, row) for number, row in enumerate(rows, 2) if any(row))
    except (BadInput, OSError):
        raise
    except Exception:  # of a damaged workbook openpyxl lets through whatever its parsers stumble over
        raise BadInput(f"{path} is not a workbook: take MeQSum's .xlsx anew.") from None


def _workbook(source: Path) -> Path:
    if source.is_file():
        return source
    found = sorted(source.glob("MeQSum*.xlsx"))
    if not found:
        raise BadInput(f"There is no MeQSum*.xlsx in {source}: give the folder of the MeQSum repository.")
    return found[0]


def _text(cell: object) -> str:
    return "" if cell is None else str(cell).strip()
