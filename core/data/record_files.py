"""Records on disk, as JSON lines or Parquet, and in memory as a `datasets.Dataset`."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from itertools import chain, islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ..errors import BadInput
from ..store.files import atomic_file
from .conversion import ConversionReport
from .records import Record

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

PARQUET_ROWS = 2048
LONGEST_LINE = 1 << 24


@contextmanager
def text_lines(path: Path, conversion: ConversionReport, newline: str | None = None) -> Iterator[Iterator[str]]:
    """Open a text file in UTF-8, plain or `.gz`, and yield its lines, of which none takes more than bounded memory.

    A longer line is told as malformed and given empty. Bytes that are not UTF-8 stop nobody here: a record with one of
    them in it is what `convert` tells as malformed, and skips where that is wanted. `newline` is that of `open`.
    """
    options: Any = {"encoding": "utf-8-sig", "errors": "surrogateescape", "newline": newline}
    with gzip.open(path, "rt", **options) if path.suffix.lower() == ".gz" else path.open(**options) as file:
        yield bounded_lines(file, path, conversion)


def bounded_lines(file: IO[str], path: Path, conversion: ConversionReport) -> Iterator[str]:
    """The lines of an open file as `text_lines` gives them."""
    number = 0
    while line := file.readline(LONGEST_LINE):
        number += 1
        if len(line) == LONGEST_LINE and line[-1] != "\n":
            conversion.malformed(path, number, f"is longer than {LONGEST_LINE:,} characters")
            while line and line[-1] != "\n":
                line = file.readline(1 << 16)
            line = "\n"
        yield line


def write_records(records: Iterable[Record], path: Path) -> int:
    """Write records as JSON lines or, for a `.parquet` path, as a Parquet file; the file appears whole.

    Returns how many were written. Raises BadInput for another suffix.
    """
    if path.suffix not in (".jsonl", ".parquet"):
        raise BadInput(f"Records cannot be written to {path}: name it .jsonl or .parquet.")
    with atomic_file(path) as part:
        writer = _write_parquet if path.suffix == ".parquet" else _write_jsonl
        return writer(iter(records), part)


def read_records(path: Path, conversion: ConversionReport | None = None) -> Iterator[Record]:
    """Read what `write_records` wrote.

    Raises BadInput for a file that cannot be read and, with file and line (Parquet: row), for one
    that is not a record, unless `conversion` skips bad rows.
    """
    report = conversion or ConversionReport()
    try:
        for number, row in _parquet_rows(path) if path.suffix == ".parquet" else _json_rows(path, report):
            try:
                record = Record.from_dict(json.loads(row) if isinstance(row, str) else row)
            except (ValueError, TypeError, AttributeError, RecursionError):
                reason = "is not a record as 'mdkif convert' writes it"
                if not report.skip_bad:
                    raise BadInput(f"{path}:{number} {reason}: convert again.") from None
                report.malformed(path, number, reason)
                continue
            yield record
    except OSError as error:
        raise BadInput(f"Records cannot be read from {path} ({error.strerror or type(error).__name__}).") from error


def _json_rows(path: Path, report: ConversionReport) -> Iterator[tuple[int, str | dict[str, Any]]]:
    with text_lines(path, report) as lines:
        yield from ((number, line) for number, line in enumerate(lines, 1) if line.strip())


def _parquet_rows(path: Path) -> Iterator[tuple[int, str | dict[str, Any]]]:
    from pyarrow import ArrowInvalid
    from pyarrow.parquet import ParquetFile

    with path.open("rb") as file:
        try:
            batches = ParquetFile(file).iter_batches()
        except ArrowInvalid:
            raise BadInput(f"{path} is not a Parquet file, or was cut short: convert again.") from None
        yield from enumerate(chain.from_iterable(batch.to_pylist() for batch in batches), 1)


def _write_jsonl(records: Iterator[Record], path: Path) -> int:
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for record in records:
            file.write(json.dumps(record.to_dict(), ensure_ascii=False) + "\n")
            count += 1
    return count


def as_dataset(records: Iterable[Record]) -> datasets.Dataset:
    """The records as a `datasets.Dataset` in memory: nothing is written to a cache."""
    import pyarrow as pa
    from datasets import Dataset

    return Dataset(pa.Table.from_batches(_batches(iter(records)), _schema()))


def _write_parquet(records: Iterator[Record], path: Path) -> int:
    from pyarrow.parquet import ParquetWriter

    count = 0
    with ParquetWriter(path, _schema()) as writer:
        for batch in _batches(records):
            writer.write_batch(batch)
            count += len(batch)
    return count


def _batches(records: Iterator[Record]) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    while rows := [record.to_dict() for record in islice(records, PARQUET_ROWS)]:
        yield pa.RecordBatch.from_pylist(rows, schema=_schema())


def _schema() -> pa.Schema:
    import pyarrow as pa

    texts = pa.list_(pa.string())
    wide = {"options": texts, "labels": texts, "spans": pa.list_(pa.list_(pa.int64()))}
    return pa.schema([(field.name, wide.get(field.name, pa.string())) for field in fields(Record)])
