"""A low-rank update of one weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class LowRank:
    """An update of one weight: `up @ down`, with every scale folded in.

    `down` is float32 (rank, in), the papers' Lambda V; `up` is float32 (out, rank), their U. The
    rank may be 0, where AdaLoRA left a module nothing.
    """

    down: torch.Tensor
    up: torch.Tensor

    @property
    def rank(self) -> int:
        """The number of singular directions kept."""
        return int(self.down.shape[0])

    @property
    def squared_norm(self) -> float:
        """The squared Frobenius norm of `up @ down`, from the (rank, rank) Gram matrices."""
        return float(((self.up.T @ self.up) * (self.down @ self.down.T)).sum())
