"""Damaged copies of a sample: what a converter says of a row it cannot read, and whether it quotes it."""

from __future__ import annotations

import gzip
import io
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..contract.declarations import Dataset
from ..data.conversion import ConversionReport, ConverterError, convert
from ..data.records import Record
from ..errors import BadInput
from .finding import told
from .records import words
from .surroundings import offline

MARK = "Qzvx Jkwp"
"""Words of no language, which stand for what a row says."""
MOST_BYTES, MOST_FILES, DAMAGED_FILES = 1 << 20, 400, 3
ASIDE = ("synthetic", "readme", "license", "licence", ".")


@dataclass
class Said(ConversionReport):
    """A report that goes on after a malformed row, and keeps all that it is told."""

    skip_bad: bool = True
    sentences: list[str] = field(default_factory=list)

    def leave_out(self, reason: str, count: int = 1) -> None:
        """Keep the reason."""
        self.sentences.append(str(reason))
        super().leave_out(reason, count)

    def malformed(self, place: Path | str, line: int | str, reason: str) -> None:
        """Keep the sentence a person would read."""
        self.sentences.append(f"{place}:{line} {reason}")
        super().malformed(place, line, reason)


@dataclass
class Damaged:
    """What came of damaged copies: how many there were, and the first fault of either kind."""

    copies: int = 0
    quoted: str = ""
    fault: str = ""


def is_small(source: Path) -> bool:
    """Whether a sample is small enough to be copied and converted many times."""
    sizes = [path.stat().st_size for path, _ in zip(_files(source), range(MOST_FILES + 1), strict=False)]
    return len(sizes) <= MOST_FILES and sum(sizes) <= MOST_BYTES


def damaged(dataset: Dataset, source: Path, options: Mapping[str, Any], records: Sequence[Record]) -> Damaged:
    """Convert damaged copies of a small sample; `records` are those of the whole one."""
    found = Damaged()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / source.name
        shutil.copytree(source, copy) if source.is_dir() else shutil.copyfile(source, copy)
        for path, text, write in _texts(copy):
            whole = path.read_bytes()
            for spoilt in _spoilt(text, records):
                write(spoilt)
                found.copies += 1
                _judge(dataset, copy, options, found)
            path.write_bytes(whole)
    return found


def _judge(dataset: Dataset, copy: Path, options: Mapping[str, Any], found: Damaged) -> None:
    """Convert one copy, and note a fault and a quotation."""
    said = Said()
    try:
        with redirect_stdout(io.StringIO()), offline():
            for _ in convert(dataset, copy, said, options):
                pass
    except BadInput as error:
        said.sentences.append(str(error))
        if isinstance(error, ConverterError):
            found.fault = found.fault or str(error)
    except (Exception, SystemExit) as error:
        found.fault = found.fault or told(error, dataset.target)
    if not found.quoted and any(set(words(MARK)) & set(words(sentence)) for sentence in said.sentences):
        found.quoted = (
            "An error or a reason quotes the row it is about: name file and line, and what the row should be."
        )


def _spoilt(text: str, records: Sequence[Record]) -> Iterator[str]:
    """The text of a file, with a line of it damaged in ways that happen; `MARK` is where the row's words were."""
    lines = text.splitlines(keepends=True)
    place = next((i for i in _places(lines, records)), len(lines) // 2)
    if not lines:
        return
    line = lines[place].rstrip("\r\n")
    start = max((line.find(words) for words in _snippets(records) if words in line), default=len(line) // 2)
    before, after = line[:start], line[start:]
    for changed in (
        before + MARK,  # cut short
        f'{before}{MARK}"{after}',  # a quotation mark too many
        f"{line}\t{MARK}\t{MARK}",  # columns too many
        f"{line},{MARK},{MARK}",
        MARK,  # no row at all
        *(line.replace(answer, MARK) for answer in _answers(records) if answer in line),  # a label nobody knows
    ):
        yield "".join([*lines[:place], changed + "\n", *lines[place + 1 :]])


def _places(lines: Sequence[str], records: Sequence[Record]) -> Iterator[int]:
    """The lines that hold what a record says."""
    snippets = list(_snippets(records))
    return (i for i, line in enumerate(lines) if any(snippet in line for snippet in snippets))


def _snippets(records: Sequence[Record]) -> Iterator[str]:
    """Words of records, as they may stand in a file."""
    for record in records[:8]:
        for text in (record.context, record.answer):
            if first := text.split("\n")[0][:24].strip():
                yield first


def _answers(records: Sequence[Record]) -> list[str]:
    """A label or two that a row may hold."""
    return list(dict.fromkeys(record.answer for record in records[:8] if 0 < len(record.answer) < 40))[:2]


def _files(source: Path) -> Iterator[Path]:
    paths = sorted(source.rglob("*")) if source.is_dir() else [source]
    return (path for path in paths if path.is_file())


def _texts(copy: Path) -> Iterator[tuple[Path, str, Callable[[str], object]]]:
    """The files of a copy that hold text, packed or not, each with a function that writes it anew."""
    found = 0
    for path in _files(copy):
        if found == DAMAGED_FILES:
            return
        if path.name.lower().startswith(ASIDE) or not (raw := path.read_bytes()):
            continue
        for text, write in _readings(path, raw):
            found += 1
            yield path, text, write


def _readings(path: Path, raw: bytes) -> Iterator[tuple[str, Callable[[str], object]]]:
    """What a file says: the text itself, of a gzipped file what is in it, of an archive its largest text."""
    if raw[:2] == b"\x1f\x8b":
        reading = _decoded(gzip.decompress(raw))
        if reading is not None:
            yield reading, lambda text: path.write_bytes(gzip.compress(text.encode(), mtime=0))
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            inside = {name: archive.read(name) for name in archive.namelist()}
        name = max(inside, key=lambda each: len(inside[each]), default="")
        reading = _decoded(inside.get(name, b"\xff"))
        if reading is not None:
            yield reading, lambda text: _packed(path, {**inside, name: text.encode()})
    elif (reading := _decoded(raw)) is not None:
        yield reading, lambda text: path.write_bytes(text.encode())


def _decoded(raw: bytes) -> str | None:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None


def _packed(path: Path, inside: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in inside.items():
            archive.writestr(name, content)
