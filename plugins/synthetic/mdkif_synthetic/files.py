"""Writing files that are the same bytes for the same content, and that say they are synthetic."""

from __future__ import annotations

import gzip
import io
import json
import re
import zipfile
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

MARK = "SYNTHETIC.txt"
NOTICE = (
    "SYNTHETIC DATA written by 'mdkif synth': no patient, study, question or answer in this folder is real.\n"
    "The files follow the layout of the official data set of the same name and contain nothing of it.\n"
    "They are for trying out and testing software, never for medical decisions or published results.\n"
)
LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The time stamp of everything that must have one, the earliest a zip file can hold."""

STRAY_COLUMN = 4

Cell = str | int | date | None


def declare(folder: Path) -> None:
    """Say in a folder, and in all folders in it, that its files are synthetic."""
    for place in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        write_text(place / MARK, NOTICE)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 with `\\n` line ends on every system."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write one JSON document, indented as PubMedQA's."""
    write_text(path, json.dumps(value, indent=4) + "\n")


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write JSON lines."""
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def write_csv_gz(path: Path, header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> int:
    """Write a table as MIMIC-III has it: texts quoted, numbers and times not, nothing for null.

    The file name inside gzip says SYNTHETIC. Returns how many rows there are.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [",".join(map(_cell, row)) + "\n" for row in (header, *rows)]
    with path.open("wb") as raw, gzip.GzipFile(f"SYNTHETIC-{path.stem}", "wb", 6, raw, mtime=0) as file:
        file.write("".join(lines).encode("utf-8"))
    return len(lines) - 1


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


def _cell(value: Cell) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return '"' + value.replace('"', '""') + '"'
    return str(value)
