"""How one linear layer computes a blend: in its weight or beside it, whichever costs less."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from .low_rank import LowRank

SLOWER = {"cpu": 2.2}  # how much longer a float32 product takes than one in half precision, by device: measured
SLOWEST = 8.0  # on any other: what tensor cores give away


@dataclass(frozen=True)
class Factors:
    """One module's updates, stacked: `down` (R, in) and `up` (out, R), float32 or wider, and both in the base's dtype.

    Where the base is in float32 the cast factors are the exact ones themselves.
    """

    down: torch.Tensor
    up: torch.Tensor
    cast_down: torch.Tensor
    cast_up: torch.Tensor

    @classmethod
    def of(cls, down: torch.Tensor, up: torch.Tensor, weight: torch.Tensor) -> Factors:
        """Factors for a module's weight, on its device."""
        exact = torch.promote_types(weight.dtype, torch.float32)
        down, up = down.to(weight.device, exact), up.to(weight.device, exact)
        return cls(down, up, down.to(weight.dtype), up.to(weight.dtype))

    def only(self, used: torch.Tensor) -> Factors:
        """Those of the R rows that are `used`, bool (R,)."""
        return Factors(self.down[used], self.up[:, used], self.cast_down[used], self.cast_up[:, used])

    def delta(self, rows: torch.Tensor) -> torch.Tensor:
        """The dense update `up diag(rows) down`, float32 or wider (out, in), for rows (R,)."""
        return (self.up * rows) @ self.down

    def off(self, rows: torch.Tensor) -> LowRank:
        """By what the update of the cast factors differs from the exact one, in float64."""
        down, cast_down = self.down.double(), self.cast_down.double()
        return LowRank(torch.cat([cast_down, down]), torch.cat([self.cast_up * rows.double(), -self.up * rows], 1))

    def merging_pays(self, tokens: int) -> bool:
        """Whether so many tokens of one blend are cheaper in the weight than beside it."""
        slower = 1.0
        if self.cast_down.dtype != self.down.dtype:
            slower = SLOWER.get(self.down.device.type, SLOWEST)
        return merging_pays(tokens, self.down.shape[1], self.up.shape[0], self.down.shape[0], slower)


def merging_pays(tokens: int, inputs: int, outputs: int, rank: int = 1, slower: float = 1.0) -> bool:
    """Whether one blend of total rank R of a linear layer is cheaper in its weight than beside it.

    Beside it each token costs 2 R (in + out) operations; in it all tokens together cost 2 R in out, once in a
    weight of the base's own dtype. In half precision the weight would round the update away, so it is in a float32 one,
    where every product takes `slower` times as long. Memory moved weighs the same on both sides.
    """
    beside = tokens * rank * (inputs + outputs)
    return beside > (slower - 1) * tokens * inputs * outputs + slower * rank * inputs * outputs


def computed(module: nn.Module, inputs: torch.Tensor, rows: torch.Tensor, factors: Factors) -> torch.Tensor:
    """The output (..., out) of a linear module with the blend `rows`, (R,) or (batch, R), of its updates."""
    linear: Any = module
    if rows.dim() == 1 and factors.merging_pays(inputs.shape[:-1].numel()):
        merged: torch.Tensor = Merged.apply(  # type: ignore[no-untyped-call]
            inputs, rows, linear.weight, linear.bias, factors.down, factors.up
        )
        return merged
    if not torch.is_grad_enabled():
        inner = functional.linear(inputs, factors.cast_down).mul_(_each(rows))
        return _plus(functional.linear(inputs, linear.weight, linear.bias), inner, factors.cast_up.t())
    beside: torch.Tensor = Beside.apply(  # type: ignore[no-untyped-call]
        inputs, rows, linear.weight, linear.bias, factors.cast_down, factors.cast_up
    )
    return beside


class Merged(torch.autograd.Function):
    """x (W + up diag(rows) down)^T + bias, with gradients to x and to rows and to nothing else.

    The merged weight has the dtype of the factors, float32 or wider, lives for one layer's pass only, and is
    made again for the backward one.
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
        wide = inputs.to(up.dtype)
        inner = functional.linear(wide, down) if ctx.needs_input_grad[1] else None
        ctx.save_for_backward(inner, rows, weight, down, up)
        output = functional.linear(wide, _merged(rows, weight, down, up), None if bias is None else bias.to(up.dtype))
        return output.to(inputs.dtype)

    @staticmethod
    def backward(ctx: Any, *slopes: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Gradients of the inputs and of the rows."""
        inner, rows, weight, down, up = ctx.saved_tensors
        slope = slopes[0].to(up.dtype)
        of_inputs = slope @ _merged(rows, weight, down, up) if ctx.needs_input_grad[0] else None
        of_rows = None if inner is None else ((slope @ up) * inner).flatten(0, -2).sum(0)
        return None if of_inputs is None else of_inputs.to(slopes[0].dtype), of_rows, None, None, None, None


class Beside(torch.autograd.Function):
    """x W^T + bias + ((x down^T) * rows) up^T, with gradients to x and to rows and to nothing else.

    Rows (R,) are one blend, rows (batch, R) one for each row of the batch. Products sum in float32 whatever
    the dtype, the update's into the output of the weight's own; what is multiplied by rows is rounded once.
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
        inner = functional.linear(inputs, down)
        ctx.save_for_backward(inner if ctx.needs_input_grad[1] else None, rows, weight, down, up)
        return _plus(functional.linear(inputs, weight, bias), _weighted(inner, rows), up.t())

    @staticmethod
    def backward(ctx: Any, *slopes: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Gradients of the inputs and of the rows."""
        [slope] = slopes
        inner, rows, weight, down, up = ctx.saved_tensors
        through = slope @ up
        of_inputs = of_rows = None
        if ctx.needs_input_grad[0]:
            of_inputs = _plus(slope @ weight, _weighted(through, rows), down)
        if inner is not None:
            each = through.to(rows.dtype) * inner
            of_rows = each.flatten(0, -2).sum(0) if rows.dim() == 1 else each.flatten(1, -2).sum(1)
        return of_inputs, of_rows, None, None, None, None


def _merged(rows: torch.Tensor, weight: torch.Tensor, down: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
    return torch.addmm(weight.to(up.dtype), up * rows, down)


def _weighted(inner: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Inner values (..., R) times rows, in the dtype of the first and rounded once."""
    return (inner * _each(rows)).to(inner.dtype)


def _each(rows: torch.Tensor) -> torch.Tensor:
    """Rows (R,) or (batch, R), to be multiplied by inner values (batch, tokens, R)."""
    return rows if rows.dim() == 1 else rows[:, None, :]


def _plus(output: torch.Tensor, inner: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """`output` itself with `inner @ factor` added; the product is not rounded by itself."""
    flat = output.view(-1, output.shape[-1])
    torch.addmm(flat, inner.flatten(0, -2), factor, out=flat)
    return output
