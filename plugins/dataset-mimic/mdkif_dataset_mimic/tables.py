"""Readers of MIMIC's tables: every cell as text, every row with its line, files plain or gzipped."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mdkif import BadInput, ConversionReport, text_lines

if TYPE_CHECKING:
    from _csv import Reader as CsvReader

_LONGEST_CELL = 2**24
"""Characters; the longest notes have some ten thousand, so a cell beyond this is a quote that never ended."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table: its cells, where each upper-case column stands, and the line where the row starts."""

    path: Path
    line: int
    columns: Mapping[str, int]
    cells: list[str]

    def __getitem__(self, column: str) -> str:
        """A cell without the white space around it."""
        return self.cells[self.columns[column]].strip()

    def get(self, column: str) -> str:
        """A cell, or "" if the table does not have this column."""
        return self[column] if column in self.columns else ""

    @property
    def source(self) -> str:
        """The place to trace a record to."""
        return f"{self.path.name}:{self.line}"


def find_table(folder: Path, table: str) -> Path | None:
    """The file of a table, `.csv` or `.csv.gz` in upper or lower case, or None."""
    if not folder.is_dir():
        raise BadInput(f"{folder} is not a folder: give the folder with MIMIC's tables, such as ADMISSIONS.csv.gz.")
    wanted = {f"{table.lower()}.csv", f"{table.lower()}.csv.gz"}
    return min((path for path in folder.iterdir() if path.name.lower() in wanted), default=None)


def rows(folder: Path, table: str, columns: Collection[str], conversion: ConversionReport) -> Iterator[Row]:
    """The rows of a table, streamed; `columns` are those the caller reads.

    Codes keep their leading zeros because nothing is made a number. Headers may be upper case
    (MIMIC-III) or lower case (its open demo, MIMIC-IV). Raises BadInput if the table or a column is
    missing, and for a row whose cells are not as many as the header's.
    """
    path = find_table(folder, table)
    if path is None:
        raise BadInput(f"There is no {table}.csv or {table}.csv.gz in {folder}: give the folder with MIMIC's tables.")
    with text_lines(path, conversion, newline="") as lines:
        read = _numbered(csv.reader(lines))
        _, first = next(read, (1, None))
        header = {name.strip().upper(): place for place, name in enumerate(first or ())}
        if missing := [column for column in columns if column not in header]:
            raise BadInput(f"The table {path} has no column {missing[0]}: get the file as PhysioNet ships it.")
        for line, cells in read:
            if cells is None:
                conversion.malformed(path, line, "cannot be read as CSV")
            elif len(cells) == len(header):
                yield Row(path, line, header, cells)
            elif cells:
                conversion.malformed(path, line, f"does not have the {len(header)} cells that its header names")


def _numbered(reader: CsvReader) -> Iterator[tuple[int, list[str] | None]]:
    """Rows with the line each starts on, which for notes is not the line it ends on; None if not readable."""
    while True:
        line = reader.line_num + 1
        # Notes may be longer than the limit, which is of the whole process: it is put back before anyone else runs.
        limit = csv.field_size_limit(_LONGEST_CELL)
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            cells = None
        finally:
            csv.field_size_limit(limit)
        yield line, cells
