"""How one linear layer computes a blend: in its weight or beside it, whichever costs less."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional


def merging_pays(tokens: int, inputs: int, outputs: int) -> bool:
    """Whether one blend of a linear layer is cheaper in its weight than beside it.

    Beside it each token costs 2 R (in + out) operations for a total rank R; in it all tokens together cost
    2 R in out. Memory moved weighs the same on both sides, so the rank does not matter.
    """
    return tokens * (inputs + outputs) > inputs * outputs


class Merged(torch.autograd.Function):
    """x (W + up diag(rows) down)^T + bias, with gradients to x and to rows and to nothing else.

    The merged weight lives for one layer's pass only, and is made again for the backward one.
    """

    @staticmethod
    def forward(
        ctx: Any,
        inputs: torch.Tensor,
        rows: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        down: torch.Tensor,
        up: torch.Tensor,
    ) -> torch.Tensor:
        """The module's output (..., out) for inputs (..., in)."""
        inner = functional.linear(inputs, down) if ctx.needs_input_grad[1] else None
        ctx.save_for_backward(inner, rows, weight, down, up)
        return functional.linear(inputs, torch.addmm(weight, up * rows, down), bias)

    @staticmethod
    def backward(ctx: Any, *slopes: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Gradients of the inputs and of the rows."""
        [slope] = slopes
        inner, rows, weight, down, up = ctx.saved_tensors
        of_inputs = slope @ torch.addmm(weight, up * rows, down) if ctx.needs_input_grad[0] else None
        of_rows = None if inner is None else ((slope @ up) * inner).flatten(0, -2).sum(0)
        return of_inputs, of_rows, None, None, None, None
