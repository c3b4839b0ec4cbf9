"""Writing files that are the same bytes for the same content, and that say they are synthetic."""

from __future__ import annotations

import gzip
import io
import json
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

MARK, MARK_AMONG_NOTES = "SYNTHETIC.txt", "SYNTHETIC.md"
NOTICE = (
    "SYNTHETIC DATA written by 'mdkif synth': no patient, study, question or answer in this folder is real.\n"
    "The files follow the layout of the official data set of the same name and contain nothing of it.\n"
    "They are for trying out and testing software, never for medical decisions or published results.\n"
)
LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The time stamp of everything that must have one, the earliest a zip file can hold."""

STRAY_COLUMN = 4
NEEDS_QUOTES = re.compile(r'[",\n\r]')

Cell = str | int | date | None


def declare(folder: Path) -> None:
    """Say in a folder, and in all folders in it, that its files are synthetic.

    Among the notes of i2b2 the file is no `.txt`: it would be taken for one more note.
    """
    for place in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        among_notes = "i2b2" in place.relative_to(folder).parts
        write_text(place / (MARK_AMONG_NOTES if among_notes else MARK), NOTICE)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 with `\\n` line ends on every system."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("utf-8"))


def write_json(path: Path, members: Iterable[tuple[str, Any]]) -> None:
    """Write one JSON object, member by member, indented as PubMedQA's."""

    def pieces() -> Iterator[str]:
        before = "{\n"
        for name, value in members:
            yield before + json.dumps({name: value}, indent=4)[2:-2]
            before = ",\n"
        yield "\n}\n"

    write_pieces(path, pieces())


def json_array(values: Iterable[Any]) -> Iterator[str]:
    """The text of a JSON array, a value on each line, so that no more than one value is held."""
    before = "[\n"
    for value in values:
        yield before + json.dumps(value)
        before = ",\n"
    yield "[]" if before == "[\n" else "\n]"


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> int:
    """Write JSON lines and count them."""
    return write_pieces(path, (json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def write_pieces(path: Path, pieces: Iterable[str]) -> int:
    """Write a text that is made piece by piece, and count the pieces."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        for count, piece in enumerate(pieces, 1):  # noqa: B007  the last number is the count
            file.write(piece)
    return count


def write_csv_gz(path: Path, header: Sequence[str], rows: Iterable[Sequence[Cell]], quoted: bool = True) -> int:
    """Write a table of MIMIC row by row, nothing for null: texts quoted as in MIMIC-III, or only where they must be.

    The file name inside gzip says SYNTHETIC. Returns how many rows there are.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with (
        path.open("wb") as raw,
        gzip.GzipFile(f"SYNTHETIC-{path.stem}", "wb", 6, raw, mtime=0) as packed,
        io.TextIOWrapper(packed, encoding="utf-8", newline="") as file,
    ):
        file.write(_row(header, quoted))
        for count, row in enumerate(rows, 1):  # noqa: B007  the last number is the count
            file.write(_row(row, quoted))
    return count


def write_xlsx(path: Path, sheet: str, rows: Iterable[Sequence[str]], stray: Sequence[int], title: str) -> None:
    """Write a workbook of one sheet; the rows numbered in `stray` get an empty fourth cell.

    openpyxl stamps the present time on the workbook and on every member of the zip: both are set back.
    """
    from openpyxl import Workbook

    book = Workbook()
    page = book.active
    page.title = sheet
    book.properties.title, book.properties.creator = title, "mdkif-synthetic"
    book.properties.description = NOTICE
    book.properties.created = datetime(*LONG_AGO[:3])
    for row in rows:
        page.append(list(row))
    for number in stray:
        page.cell(number, STRAY_COLUMN).number_format = "@"
    memory = io.BytesIO()
    book.save(memory)
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(memory) as made, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as kept:
        for name in made.namelist():
            content = made.read(name)
            if name == "docProps/core.xml":
                content = re.sub(rb"(<dcterms:modified[^>]*>)[^<]*", rb"\g<1>1980-01-01T00:00:00Z", content)
            kept.writestr(zipfile.ZipInfo(name, LONG_AGO), content, zipfile.ZIP_DEFLATED)


def _row(cells: Sequence[Cell], quoted: bool) -> str:
    return ",".join(_cell(value, quoted) for value in cells) + "\n"


def _cell(value: Cell, quoted: bool) -> str:
    if value is None:
        return ""
    if isinstance(value, str) and (quoted or NEEDS_QUOTES.search(value)):
        return '"' + value.replace('"', '""') + '"'
    return str(value)
