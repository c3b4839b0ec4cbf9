"""Running a converter: options in, records out, and a count of everything that was left out."""

from __future__ import annotations

import inspect
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..contract.declarations import Dataset
from ..contract.explanation import place
from ..errors import BadInput, MdkifError
from .records import Record, RecordError
from .splits import Policy, policy

MALFORMED = "malformed: "
NO_TEXT = "holds what is no character: bytes that are not UTF-8, or half of a surrogate pair"


class ConverterError(BadInput):
    """A converter that failed otherwise than by BadInput, or made what is no record: its author has to mend it."""


@dataclass
class ConversionReport:
    """What a converter is told and what it reports.

    With `skip_bad` malformed rows are counted and the conversion goes on; without, the first stops it.
    """

    skip_bad: bool = False
    left_out: Counter[str] = field(default_factory=Counter)
    splits: Counter[str] = field(default_factory=Counter)
    records: int = 0

    @property
    def malformed_rows(self) -> int:
        """How many rows were skipped because they could not be read."""
        return sum(count for reason, count in self.left_out.items() if reason.startswith(MALFORMED))

    def leave_out(self, reason: str, count: int = 1) -> None:
        """Count rows that are right but not wanted, such as those without an answer."""
        self.left_out[reason] += count

    def malformed(self, place: Path | str, line: int | str, reason: str) -> None:
        """Report a row that cannot be read; `reason` must not quote the row.

        Raises BadInput with file and line, unless bad rows are skipped.
        """
        if not self.skip_bad:
            raise BadInput(f"{place}:{line} {reason}: mend the row, or use --skip-bad to count and skip such rows.")
        self.left_out[f"{MALFORMED}{reason}"] += 1


def convert(
    dataset: Dataset,
    source: Path,
    conversion: ConversionReport,
    options: Mapping[str, Any] | None = None,
    splits: Policy | None = None,
) -> Iterator[Record]:
    """The records of an official distribution, one at a time, each with a split.

    `splits` is a policy, by default "official". A group never straddles the splits that a policy makes,
    and which one it gets never depends on order. Raises BadInput for a missing
    source, an option the converter does not have, and (file and line) for a malformed row;
    ConverterError, which is one, for a converter that fails or makes what is no record.
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

    def read(told: ConversionReport) -> Iterator[Record]:
        yield from converter(source, told, **options)

    return _finished(dataset, source, read, conversion, splits or policy("official"))


def _finished(
    dataset: Dataset,
    source: Path,
    read: Callable[[ConversionReport], Iterator[Record]],
    conversion: ConversionReport,
    splits: Policy,
) -> Iterator[Record]:
    try:
        assign = splits(lambda: read(ConversionReport(conversion.skip_bad)))
        for record in read(conversion):
            if not isinstance(record, Record):
                raise ConverterError(
                    f"The converter of '{dataset.name}' yields what is of the type {type(record).__name__}: "
                    "yield mdkif.Record objects."
                )
            if not is_text(record):
                conversion.malformed(
                    source,
                    record.source,
                    NO_TEXT,
                )
                continue
            split = assign(record)
            if not split:
                conversion.leave_out("beyond the split policy's sizes")
                continue
            conversion.records += 1
            conversion.splits[split] += 1
            yield record if record.split == split else replace(record, split=split)
    except (OSError, EOFError, UnicodeError, zlib.error) as error:
        what = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        where = getattr(error, "filename", None) or source
        raise BadInput(
            f"The source of '{dataset.name}' at {where} cannot be read ({what}): "
            "check that it is complete and as its owner distributes it."
        ) from error
    except RecordError as error:
        raise ConverterError(f"The converter of '{dataset.name}' makes a wrong record. {error}") from error
    except MdkifError:
        raise
    except Exception as error:  # its text may be a row's: only the place and the kind are told
        where = place(error, dataset.target)
        raise ConverterError(
            f"The converter of '{dataset.name}' failed with {type(error).__name__} at {where}: "
            "mend it there, or tell the row by conversion.malformed."
        ) from error


def is_text(record: Record) -> bool:
    """Whether the record can be written and tokenized: JSON may escape what is no character."""
    try:
        texts = (record.query, record.context, record.answer, record.id, record.group, record.source)
        "".join((*texts, *record.options, *record.labels)).encode()
    except UnicodeEncodeError:
        return False
    return True
