"""Updates of random numbers with the size of given ones."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from mdkif import LowRank


def randomised(updates: Mapping[str, LowRank], seed: str) -> dict[str, LowRank]:
    """A random update of the same rank and Frobenius norm for every module; one seed, one result."""
    draw = torch.Generator().manual_seed(int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4], "big"))
    return {path: _like(updates[path], draw) for path in sorted(updates)}


def _like(update: LowRank, draw: torch.Generator) -> LowRank:
    down, up = (torch.randn(each.shape, generator=draw) for each in (update.down, update.up))
    size = LowRank(down, up).squared_norm
    return LowRank(down * (update.squared_norm / size) ** 0.5 if size else down, up)
