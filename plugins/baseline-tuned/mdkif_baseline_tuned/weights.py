"""All weights of a model, tuned in a copy of it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
from mdkif import Base, Tunable


class AllWeights(Tunable):
    """Every parameter, in float32: half precision would round small steps away."""

    @contextmanager
    def fresh(self, base: Base, seed: int) -> Iterator[tuple[Base, Sequence[torch.Tensor]]]:
        """A copy of the base; nothing about it is random."""
        model = copy.deepcopy(base.model).float().requires_grad_(True)
        yield replace(base, model=model), list(model.parameters())
