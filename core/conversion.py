"""Running a converter: options in, records out, and a count of everything that was left out."""

from __future__ import annotations

import hashlib
import inspect
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .declarations import Dataset
from .errors import BadInput
from .records import Record

SHARES = (("train", 0.8), ("dev", 0.1), ("test", 0.1))


@dataclass
class Conversion:
    """What a converter is told and what it reports.

    With `skip_bad` malformed rows are counted and the conversion goes on; without, the first stops it.
    """

    skip_bad: bool = False
    left_out: Counter[str] = field(default_factory=Counter)
    splits: Counter[str] = field(default_factory=Counter)
    records: int = 0

    def leave_out(self, reason: str, count: int = 1) -> None:
        """Count rows that are right but not wanted, such as those without an answer."""
        self.left_out[reason] += count

    def malformed(self, place: Path | str, line: int | str, reason: str) -> None:
        """Report a row that cannot be read; `reason` must not quote the row.

        Raises BadInput with file and line, unless bad rows are skipped.
        """
        if not self.skip_bad:
            raise BadInput(f"{place}:{line} {reason}: mend the row, or use --skip-bad to count and skip such rows.")
        self.left_out[f"malformed: {reason}"] += 1


def convert(
    dataset: Dataset,
    source: Path,
    conversion: Conversion,
    options: Mapping[str, Any] | None = None,
) -> Iterator[Record]:
    """The records of an official distribution, one at a time, each with a split.

    Records without an official split get one by a hash of their group, 80/10/10, so that a group
    never straddles splits and the assignment never depends on order. Raises BadInput for a missing
    source, an option the converter does not have, and (file and line) for a malformed row.
    """
    if not source.exists():
        raise BadInput(
            f"The source of '{dataset.name}' does not exist at {source}: give the folder or file as its "
            f"owner distributes it ({dataset.homepage})."
        )
    converter = dataset.load()
    options = dict(options or {})
    if wrong := sorted(
        set(options) - set(inspect.signature(converter).parameters) | {"source", "conversion"} & set(options)
    ):
        known = ", ".join(dataset.options) or "none"
        raise BadInput(f"The data set '{dataset.name}' has no option '{wrong[0]}': its options are {known}.")
    return _finished(dataset, source, converter(source, conversion, **options), conversion)


def _finished(dataset: Dataset, source: Path, records: Iterator[Record], conversion: Conversion) -> Iterator[Record]:
    try:
        for record in records:
            if not record.split:
                record = replace(record, split=hashed_split(record.group))
            conversion.records += 1
            conversion.splits[record.split] += 1
            yield record
    except (OSError, EOFError, UnicodeError, zlib.error) as error:
        what = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        where = getattr(error, "filename", None) or source
        raise BadInput(
            f"The source of '{dataset.name}' at {where} cannot be read ({what}): "
            "check that it is complete and as its owner distributes it."
        ) from error


def hashed_split(group: str) -> str:
    """The split of a group without an official one: a function of its name alone."""
    position = int.from_bytes(hashlib.sha256(group.encode()).digest()[:8]) / 2**64
    for name, share in SHARES:
        if position < share:
            return name
        position -= share
    return SHARES[-1][0]
