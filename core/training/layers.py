"""PEFT's LoRA and AdaLoRA layers as one product each: the same parameters, names and files, less work for a step."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from peft import PeftModel


@contextmanager
def fused(model: PeftModel) -> Iterator[None]:
    """Within the block the LoRA and AdaLoRA layers of frozen linear modules compute in one step, the others as ever.

    Both paths are computed in the base's dtype, whatever that of the factors, and layers that get the same
    input share one dropout mask. Parameters, their names and what is saved stay PEFT's.
    """
    from peft.tuners.adalora.layer import SVDLinear
    from peft.tuners.lora.layer import Linear

    masks = Masks()
    layers: list[Any] = [layer for layer in model.modules() if type(layer) in (Linear, SVDLinear)]
    try:
        for layer in layers:
            layer.forward = partial(_forward, layer, masks)
        yield
    finally:
        for layer in layers:
            layer.__dict__.pop("forward", None)


def _forward(layer: Any, masks: Masks, inputs: torch.Tensor, *rest: Any, **options: Any) -> torch.Tensor:
    """The layer's output (..., out) for inputs (..., in)."""
    name = _adapter(layer)
    if name is None or rest or options or inputs.dim() < 2 or inputs.dtype != layer.base_layer.weight.dtype:
        output: torch.Tensor = type(layer).forward(layer, inputs, *rest, **options)
        return output
    down, up, scale = _factors(layer, name)
    rate = layer.lora_dropout[name].p if layer.training and hasattr(layer.lora_dropout[name], "p") else 0.0
    masked, mask = masks.of(inputs, rate)
    base = layer.base_layer
    fused_output: torch.Tensor = Fused.apply(  # type: ignore[no-untyped-call]
        inputs, masked, mask, base.weight, base.bias, down * (scale / (1 - rate)), up
    )
    return fused_output


def _adapter(layer: Any) -> str | None:
    """The layer's adapter if it has one that is active, plain, and beside a frozen linear module."""
    if len(layer.active_adapters) != 1 or layer.disable_adapters or layer.merged or layer.fan_in_fan_out:
        return None
    [name] = layer.active_adapters
    base = layer.base_layer
    frozen = type(base) is nn.Linear and not any(p.requires_grad for p in base.parameters())
    plain = name in layer.lora_A and name not in layer.lora_variant and not layer.lora_bias.get(name)
    dropout = plain and type(layer.lora_dropout[name]) in (nn.Dropout, nn.Identity)
    return name if frozen and dropout else None


def _factors(layer: Any, name: str) -> tuple[torch.Tensor, torch.Tensor, Any]:
    """What the update `up @ down * scale` is made of: (rank, in), (out, rank), and PEFT's scale."""
    down, up, scale = layer.lora_A[name], layer.lora_B[name], layer.scaling[name]
    values = getattr(layer, "lora_E", {}).get(name)
    if values is None:
        return down.weight, up.weight, scale
    return down * values, up, scale / (layer.ranknum[name] + 1e-5)


class Masks:
    """Dropout for the inputs of several layers: those that get the same tensor one after the other share its mask."""

    def __init__(self) -> None:
        self._last: tuple[weakref.ref[torch.Tensor] | None, float] = (None, 0.0)
        self._found: tuple[torch.Tensor, torch.Tensor | None]

    def of(self, inputs: torch.Tensor, rate: float) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The inputs with a share `rate` of them 0, not rescaled, and the uint8 mask of those that are kept."""
        if rate == 0:
            return inputs.detach(), None
        of, drawn = self._last
        if of is None or of() is not inputs or drawn != rate:
            with torch.no_grad():
                mask = kept(inputs.shape, rate, inputs.device)
                self._found = torch.mul(inputs, mask, out=torch.empty_like(inputs)), mask
            self._last = weakref.ref(inputs), rate
        return self._found


def kept(shape: torch.Size, rate: float, device: torch.device) -> torch.Tensor:
    """1 for what dropout keeps and 0 for a share `rate`, to the nearest 2^-16: uint8 of that shape.

    Four numbers of 16 bits are drawn at once; drawing for each by itself takes eight times as long.
    """
    numbers = torch.empty(-(-shape.numel() // 4), dtype=torch.int64, device=device).random_(-(2**63), None)
    bits = numbers.view(torch.int16)[: shape.numel()].view(shape)
    return torch.ge(bits, round(rate * 2**16) - 2**15, out=torch.empty(shape, dtype=torch.uint8, device=device))


class Fused(torch.autograd.Function):
    """x W^T + bias + (x * mask) down^T up^T in the dtype of x, with gradients to x, down and up and nothing else."""

    @staticmethod
    def forward(
        ctx: Any,
        inputs: torch.Tensor,
        masked: torch.Tensor,
        mask: torch.Tensor | None,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        down: torch.Tensor,
        up: torch.Tensor,
    ) -> torch.Tensor:
        """The output (..., out) for inputs (..., in), `masked` being the inputs times `mask`."""
        low, high = down.to(inputs.dtype), up.to(inputs.dtype)
        inner = functional.linear(masked, low)
        output = functional.linear(inputs, weight, bias)
        output.view(-1, output.shape[-1]).addmm_(inner.flatten(0, -2), high.T)
        ctx.save_for_backward(masked, mask, weight, low, high, inner)
        ctx.dtypes = down.dtype, up.dtype
        return output

    @staticmethod
    def backward(ctx: Any, *slopes: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Gradients of the inputs, down and up."""
        masked, mask, weight, low, high, inner = ctx.saved_tensors
        slope = slopes[0].flatten(0, -2)
        of_inner = slope @ high
        of_down = (of_inner.T @ masked.flatten(0, -2)).to(ctx.dtypes[0]) if ctx.needs_input_grad[5] else None
        of_up = (inner.flatten(0, -2).T @ slope).T.to(ctx.dtypes[1]) if ctx.needs_input_grad[6] else None
        of_inputs = None
        if ctx.needs_input_grad[0]:
            of_inputs = slope @ weight
            if mask is None:
                of_inputs.addmm_(of_inner, low)
            else:
                through = of_inner @ low
                of_inputs.add_(torch.mul(through, mask.flatten(0, -2), out=through))
            of_inputs = of_inputs.view_as(masked)
        return of_inputs, None, None, None, None, of_down, of_up
