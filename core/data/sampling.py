"""Seeded samples of a stream of records."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from .records import Record


class Sample:
    """A seeded uniform sample of a stream, `size` of its records or, for 0, all; memory is bounded by the size."""

    def __init__(self, size: int, seed: str) -> None:
        self.seen = 0
        self._size, self._draw = size, random.Random(seed)
        self._kept: list[Record] = []

    def add(self, record: Record) -> None:
        """Take in the next record."""
        self.seen += 1
        if not self._size or len(self._kept) < self._size:
            self._kept.append(record)
        elif (place := self._draw.randrange(self.seen)) < self._size:
            self._kept[place] = record

    def drawn(self) -> list[Record]:
        """The sample, in an order of chance."""
        self._draw.shuffle(self._kept)
        return self._kept


class Stratified:
    """A seeded sample of a stream in which every label has its share, `size` of its records or, for 0, all.

    Labels are told apart where all records list the same options; other records are one stratum, so the sample is
    uniform. Shares are those of the labels in the stream; what remains goes to the largest remainders.
    """

    def __init__(self, size: int, seed: str) -> None:
        self._size, self._seed = size, seed
        self._options: tuple[str, ...] | None = None
        self._strata: dict[tuple[str, ...], Sample] = {}

    def add(self, record: Record) -> None:
        """Take in the next record."""
        self._options = record.options if self._options is None else self._options
        label = record.labels if record.options == self._options else ()
        self._strata.setdefault(label, Sample(self._size, f"{self._seed}:{label}")).add(record)

    def drawn(self) -> list[Record]:
        """The sample, in an order of chance."""
        strata = self._strata
        total = sum(each.seen for each in strata.values())
        wanted = min(self._size or total, total)
        counts = {label: wanted * each.seen // total for label, each in strata.items()}
        largest = sorted(strata, key=lambda label: (-(wanted * strata[label].seen % total), label))
        for label in largest[: wanted - sum(counts.values())]:
            counts[label] += 1
        found = [record for label in sorted(strata) for record in strata[label].drawn()[: counts[label]]]
        random.Random(self._seed).shuffle(found)
        return found


def sample(
    records: Iterable[Record], sizes: Mapping[str, int], seed: int, *, stratified: bool = False
) -> dict[str, list[Record]]:
    """Seeded samples of several splits in one pass, uniform or `stratified`; memory is bounded by the sizes.

    `sizes` maps each wanted split to how many of its records are drawn, 0 for all.
    """
    kind = Stratified if stratified else Sample
    samples = {split: kind(size, f"{split}:{seed}") for split, size in sizes.items()}
    for record in records:
        if record.split in samples:
            samples[record.split].add(record)
    return {split: kept.drawn() for split, kept in samples.items()}


def label_counts(records: Sequence[Record]) -> dict[str, int]:
    """How often each label is right, in the order of the options, if all records list the same; else nothing."""
    if not records or any(record.options != records[0].options for record in records):
        return {}
    counts = Counter(label for record in records for label in record.labels)
    return {option: counts[option] for option in records[0].options}
