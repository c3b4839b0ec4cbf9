"""Readers of MIMIC-III tables: every cell as text, every row with its line, files plain or gzipped."""

from __future__ import annotations

import csv
import gzip
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TextIO

from mdkif import BadInput, Conversion

if TYPE_CHECKING:
    from _csv import Reader as CsvReader

DEID = ("keep", "drop", "mask")

_LONGEST_CELL = 2**27
_DEIDENTIFIED = re.compile(r"\[\*\*(.*?)\*\*\]", re.DOTALL)
_MASKS = tuple(
    (re.compile(pattern, re.IGNORECASE), mask)
    for pattern, mask in (
        (r"hospital|clinic|ward|unit", "[hospital]"),
        (r"telephone|phone|fax|pager|contact", "[phone]"),
        (r"location|state|country|address|street|city|zip|company", "[location]"),
        (r"age over", "[age]"),
        (r"name|initial|dictator|attending|md\b", "[name]"),
        (r"date|month|year|day|^[\s\d/-]+$", "[date]"),
    )
)


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table: its cells by upper-case column name, and the file and line where it starts."""

    path: Path
    line: int
    cells: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        """A cell without the white space around it."""
        return self.cells[column].strip()

    @property
    def source(self) -> str:
        """The place to trace a record to."""
        return f"{self.path.name}:{self.line}"


class Code(NamedTuple):
    """An ICD-9-CM code of an admission, with its dot."""

    patient: str
    admission: str
    code: str


class Note(NamedTuple):
    """The discharge summary of an admission: its report and addenda in order."""

    patient: str
    admission: str
    text: str
    source: str


def find_table(folder: Path, table: str) -> Path | None:
    """The file of a table, `.csv` or `.csv.gz` in upper or lower case, or None."""
    if not folder.is_dir():
        raise BadInput(
            f"{folder} is not a folder: give the folder with the tables of MIMIC-III, such as ADMISSIONS.csv.gz."
        )
    wanted = {f"{table.lower()}.csv", f"{table.lower()}.csv.gz"}
    return min((path for path in folder.iterdir() if path.name.lower() in wanted), default=None)


def rows(folder: Path, table: str, columns: Collection[str], conversion: Conversion) -> Iterator[Row]:
    """The rows of a table, streamed; `columns` are those the caller reads.

    Codes keep their leading zeros because nothing is made a number. Headers may be upper case (the
    full data) or lower case (the open demo). Raises BadInput if the table or a column is missing,
    and for a row whose cells are not as many as the header's.
    """
    path = find_table(folder, table)
    if path is None:
        raise BadInput(
            f"There is no {table}.csv or {table}.csv.gz in {folder}: give the folder with the MIMIC-III tables."
        )
    with _opened(path) as lines:
        # Notes can be longer than the module's default limit for a cell, which only guards memory.
        csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_CELL))
        reader = csv.reader(lines)
        header = [name.strip().upper() for name in next(reader, [])]
        if missing := [column for column in columns if column not in header]:
            raise BadInput(f"The table {path} has no column {missing[0]}: get the file as PhysioNet ships it.")
        for line, cells in _numbered(reader):
            if cells is None:
                conversion.malformed(path, line, "cannot be read as CSV")
            elif len(cells) == len(header):
                yield Row(path, line, dict(zip(header, cells, strict=True)))
            elif cells:
                conversion.malformed(path, line, f"does not have the {len(header)} cells that its header names")


def diagnosis_code(code: str) -> str:
    """An ICD-9-CM diagnosis code with its dot: after the third character, of E codes after the fourth.

    >>> [diagnosis_code(code) for code in ("00845", "V5861", "E8788", "486")]
    ['008.45', 'V58.61', 'E878.8', '486']
    """
    return _dotted(code, 4 if code.upper().startswith("E") else 3)


def procedure_code(code: str) -> str:
    """An ICD-9-CM procedure code with its dot, which stands after the second digit.

    >>> [procedure_code(code) for code in ("0066", "9604")]
    ['00.66', '96.04']
    """
    return _dotted(code, 2)


def diagnoses(folder: Path, conversion: Conversion) -> Iterator[Code]:
    """The codes of DIAGNOSES_ICD in file order, dotted; rows without a code are left out and counted."""
    return _codes(folder, "DIAGNOSES_ICD", diagnosis_code, conversion)


def procedures(folder: Path, conversion: Conversion) -> Iterator[Code]:
    """The codes of PROCEDURES_ICD in file order, dotted; rows without a code are left out and counted."""
    return _codes(folder, "PROCEDURES_ICD", procedure_code, conversion)


def diagnosis_titles(folder: Path, conversion: Conversion) -> dict[str, str]:
    """SHORT_TITLE of each dotted code of D_ICD_DIAGNOSES; empty if the table is not there.

    Some codes of DIAGNOSES_ICD are not in this table.
    """
    if find_table(folder, "D_ICD_DIAGNOSES") is None:
        return {}
    table = rows(folder, "D_ICD_DIAGNOSES", ("ICD9_CODE", "SHORT_TITLE"), conversion)
    titles = {diagnosis_code(row["ICD9_CODE"]): " ".join(row["SHORT_TITLE"].split()) for row in table}
    return {code: title for code, title in titles.items() if title}


def discharge_rows(folder: Path, conversion: Conversion) -> Iterator[Row]:
    """The rows of NOTEEVENTS that are discharge summaries of an admission and not marked as an error."""
    columns = ("SUBJECT_ID", "HADM_ID", "CHARTDATE", "CATEGORY", "DESCRIPTION", "ISERROR", "TEXT")
    for row in rows(folder, "NOTEEVENTS", columns, conversion):
        if row["CATEGORY"].lower() != "discharge summary":
            conversion.leave_out("note that is no discharge summary")
        elif row["ISERROR"] == "1":
            conversion.leave_out("note marked as an error")
        elif not row["HADM_ID"]:
            conversion.leave_out("discharge summary without an admission")
        elif not row["TEXT"]:
            conversion.leave_out("discharge summary without text")
        else:
            yield row


def count_discharge_rows(folder: Path, conversion: Conversion) -> Counter[str]:
    """How many rows make up the discharge summary of each admission; a reading that reports nothing."""
    scratch = Conversion(skip_bad=conversion.skip_bad)
    return Counter(row["HADM_ID"] for row in discharge_rows(folder, scratch))


def discharge_notes(
    folder: Path, parts: Mapping[str, int], conversion: Conversion, deid: str = "keep"
) -> Iterator[Note]:
    """The discharge summary of each admission, its report first and then its addenda by date.

    `parts` comes from `count_discharge_rows`: with it a note is told as soon as its last row is
    read, so that only unfinished notes are held. `deid` says what becomes of `[** **]`: see `deidentified`.
    """
    waiting: dict[str, list[Row]] = {}
    for row in discharge_rows(folder, conversion):
        admission = row["HADM_ID"]
        held = waiting.setdefault(admission, [])
        held.append(row)
        if len(held) < parts[admission]:
            continue
        held.sort(key=lambda part: (part["DESCRIPTION"].lower() != "report", part["CHARTDATE"], part.line))
        text = "\n\n".join(deidentified(part["TEXT"], deid) for part in held)
        yield Note(row["SUBJECT_ID"], admission, text, held[0].source)
        del waiting[admission]


def deidentified(text: str, policy: str) -> str:
    """The text with its `[** **]` marks kept, dropped, or replaced by a typed mask such as `[name]`.

    >>> deidentified("Dr. [**Last Name (STitle) 12**] on [**2151-7-16**]", "mask")
    'Dr. [name] on [date]'
    """
    if policy == "keep":
        return text
    if policy == "drop":
        return _DEIDENTIFIED.sub("", text)
    return _DEIDENTIFIED.sub(lambda mark: _mask(mark[1]), text)


def _mask(inside: str) -> str:
    return next((mask for pattern, mask in _MASKS if pattern.search(inside)), "[masked]")


def _opened(path: Path) -> TextIO:
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _numbered(reader: CsvReader) -> Iterator[tuple[int, list[str] | None]]:
    """Rows with the line each starts on, which for notes is not the line it ends on; None if not readable."""
    while True:
        line = reader.line_num + 1
        try:
            yield line, next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield line, None


def _dotted(code: str, place: int) -> str:
    return f"{code[:place]}.{code[place:]}" if len(code) > place else code


def _codes(folder: Path, table: str, dotted: Callable[[str], str], conversion: Conversion) -> Iterator[Code]:
    for row in rows(folder, table, ("SUBJECT_ID", "HADM_ID", "ICD9_CODE"), conversion):
        if code := row["ICD9_CODE"]:
            yield Code(row["SUBJECT_ID"], row["HADM_ID"], dotted(code))
        else:
            conversion.leave_out(f"row of {table} without a code")
