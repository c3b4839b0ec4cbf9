"""Batches: left-padded tensors of similar lengths under a token budget."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch

from .encoding import Encoded

T = TypeVar("T")
WINDOW = 8
WORTH_SHARING = 128
"""Tokens saved from which on a prefix is computed by itself, which takes as long as some 65 tokens do."""


@dataclass(frozen=True)
class Batch:
    """Token ids padded on the left, so that all answers end at the right edge.

    `ids`, `mask` and `positions` are int64 (rows, length); `targets` holds the answer's ids in its
    last `keep` columns and -100 elsewhere: logits are needed for `keep + 1` positions only. Where `prefix` is
    given, int64 (shared,), every row begins with it, and the others hold what comes after.
    """

    ids: torch.Tensor
    mask: torch.Tensor
    positions: torch.Tensor
    targets: torch.Tensor
    keep: int
    prefix: torch.Tensor | None = None


def collate(rows: Sequence[Encoded], pad: int, device: torch.device, share: bool = False) -> Batch:
    """One batch of prompts with their answers; with `share` what all prompts begin with is kept once, where it pays."""
    shared = common_length([row.prompt for row in rows]) if share else 0
    prefix = torch.tensor(rows[0].prompt[:shared], device=device) if shared * (len(rows) - 1) >= WORTH_SHARING else None
    if prefix is not None:
        rows = [replace(row, prompt=row.prompt[shared:]) for row in rows]
    length = max(map(len, rows))
    ids = torch.full((len(rows), length), pad)
    mask = torch.zeros((len(rows), length), dtype=torch.long)
    targets = torch.full((len(rows), length), -100)
    for i, row in enumerate(rows):
        ids[i, length - len(row) :] = torch.tensor(row.prompt + row.answer)
        mask[i, length - len(row) :] = 1
        targets[i, length - len(row.answer) :] = torch.tensor(row.answer)
    positions = (mask.cumsum(1) - 1).clamp(min=0) + (0 if prefix is None else shared)
    keep = max(1, *(len(row.answer) for row in rows))
    return Batch(ids.to(device), mask.to(device), positions.to(device), targets.to(device), keep, prefix)


def common_length(prompts: Sequence[tuple[int, ...]]) -> int:
    """How many ids all prompts begin with; at least one of each is its own."""
    shared = min(map(len, prompts)) - 1
    first = prompts[0]
    for prompt in prompts[1:]:
        shared = next((i for i in range(shared) if prompt[i] != first[i]), shared)
    return shared


def budgeted(lengths: Sequence[int], tokens: int) -> Iterator[list[int]]:
    """Indices in batches of similar length whose padded size is at most `tokens` (one row always fits)."""
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: (lengths[i], i)):
        if batch and (len(batch) + 1) * lengths[i] > tokens:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def shuffled(lengths: Sequence[int], size: int, seed: int) -> Iterator[list[int]]:
    """Endless batches of `size` indices: every epoch in a new order, batches of similar length within a window."""
    epoch = 0
    while True:
        order = list(range(len(lengths)))
        shuffle = random.Random(f"{seed}:{epoch}")
        shuffle.shuffle(order)
        batches: list[list[int]] = []
        for start in range(0, len(order), size * WINDOW):
            window = sorted(order[start : start + size * WINDOW], key=lambda i: lengths[i])
            batches += [window[i : i + size] for i in range(0, len(window), size)]
        shuffle.shuffle(batches)
        yield from batches
        epoch += 1
