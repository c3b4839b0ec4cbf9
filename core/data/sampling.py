"""Seeded samples of a stream of records."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping

from .records import Record


def sample(records: Iterable[Record], sizes: Mapping[str, int], seed: int) -> dict[str, list[Record]]:
    """Seeded uniform samples of several splits in one pass; memory is bounded by the sizes.

    `sizes` maps each wanted split to how many of its records are drawn, 0 for all.
    """
    draws = {split: random.Random(f"{split}:{seed}") for split in sizes}
    chosen: dict[str, list[Record]] = {split: [] for split in sizes}
    seen = dict.fromkeys(sizes, 0)
    for record in records:
        split = record.split
        if split not in sizes:
            continue
        seen[split] += 1
        if not sizes[split] or len(chosen[split]) < sizes[split]:
            chosen[split].append(record)
        elif (place := draws[split].randrange(seen[split])) < sizes[split]:
            chosen[split][place] = record
    for split, kept in chosen.items():
        draws[split].shuffle(kept)
    return chosen
