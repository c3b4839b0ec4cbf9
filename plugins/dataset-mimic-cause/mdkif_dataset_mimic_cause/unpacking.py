"""Finding and reading the tables of a file, folder or archive, with a limit on what an archive may unpack to."""

from __future__ import annotations

import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from typing import IO

from mdkif import BadInput

SUFFIXES = (".csv", ".tsv", ".txt")
LARGEST = 64 << 20
"""Bytes read from one source: the 2,714 sentences take about one megabyte."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table; `name` is its path within the source, `place` its whole path for people."""

    name: str
    place: str
    text: str

    @property
    def delimiter(self) -> str:
        """What parts the columns of the header."""
        return "\t" if "\t" in self.text.partition("\n")[0] else ","

    def lines(self) -> Iterator[str]:
        """The lines with their ends, as the CSV reader wants them."""
        return io.StringIO(self.text, newline="")


def tables(source: Path) -> Iterator[Table]:
    """Every file in the source that could be a table; archives in a folder count only where nothing is unpacked.

    Raises BadInput for a damaged, encrypted or suspiciously large archive.
    """
    if zipfile.is_zipfile(source) or source.suffix == ".zip":
        yield from _unpacked(source)
        return
    paths = [source] if source.is_file() else sorted(path for path in source.rglob("*") if _is_table(path))
    for path in paths:
        with path.open("rb") as file:
            data, _ = _limited(file, LARGEST, path)
        yield _table(path.relative_to(source).as_posix() if source.is_dir() else path.name, path, data)
    if all(path.suffix == ".txt" for path in paths):  # which may be a table or just say something about the archive
        for path in sorted(source.glob("*.zip")):
            yield from _unpacked(path)


def _unpacked(path: Path) -> Iterator[Table]:
    """The tables of an archive. What counts is the size really read: the sizes an archive states may lie."""
    left = LARGEST
    try:
        with zipfile.ZipFile(path) as archive:
            for name in sorted({name for name in archive.namelist() if _is_table(PurePosixPath(name))}):
                with archive.open(name) as member:
                    data, left = _limited(member, left, path)
                yield _table(name, path / name, data)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError):
        raise BadInput(f"{path} is damaged: download the archive from the portal anew.") from None
    except (RuntimeError, NotImplementedError):
        raise BadInput(f"{path} is encrypted or packed in an unknown way: unpack it and give the folder.") from None


def _limited(file: IO[bytes], limit: int, path: Path) -> tuple[bytes, int]:
    """All bytes, and what is left of the limit. Raises BadInput beyond it."""
    data = file.read(limit + 1)
    if len(data) > limit:
        raise BadInput(f"{path} holds tables of more than {LARGEST >> 20} MB: that is not MIMIC-Cause.")
    return data, limit - len(data)


def _is_table(path: PurePath) -> bool:
    """Whether the name is a table's; a leading dot marks what a Mac adds to archives."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _table(name: str, place: Path, data: bytes) -> Table:
    """The decoded table; notes of the n2c2 challenges are not always UTF-8."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    return Table(name=name, place=str(place), text=text)
