"""The small LoRA that is tuned on top of a blend, or of the base alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import nn

from ..adapters.low_rank import LowRank
from ..models.base import Base
from ..progress import Progress
from ..training.layers import Fused
from .fit import Fitted, Tunable, fitted
from .losses import ShotsLoss
from .settings import TuneSettings


@dataclass(frozen=True)
class Residual(Tunable):
    """A LoRA of every linear layer but the output head, beside the frozen updates of a blend by module.

    The update is up @ down * alpha / rank (Hu et al., 2021); up begins with zeros, down as PEFT's does.
    """

    rank: int = 4
    alpha: float = 16.0
    blend: Mapping[str, LowRank] = field(default_factory=dict)

    @contextmanager
    def fresh(self, base: Base, seed: int) -> Iterator[tuple[Base, Sequence[torch.Tensor]]]:
        """The base itself, each layer of which computes its weight, the blend's update and its own in one product."""
        draw = torch.Generator().manual_seed(seed)
        layers = [_Layer.of(m, self.rank, self.blend.get(p), draw) for p, m in linear_layers(base).items()]
        try:
            for layer in layers:
                layer.module.forward = partial(_forward, layer, self.alpha / self.rank)
            yield base, [factor for layer in layers for factor in (layer.down, layer.up)]
        finally:
            for layer in layers:
                layer.module.__dict__.pop("forward", None)

    def updates(self, base: Base, weights: Sequence[torch.Tensor]) -> dict[str, LowRank]:
        """What the parameters of `fresh` amount to, by module, without the blend."""
        down, up = ([each.detach().cpu() for each in weights[i::2]] for i in range(2))
        own = zip(linear_layers(base), down, up, strict=True)
        return {path: LowRank(low * (self.alpha / self.rank), high) for path, low, high in own}


@dataclass(frozen=True)
class _Layer:
    """One linear layer, its own factors, and those of the blend in float32: (R, in) and (out, R)."""

    module: Any
    down: torch.Tensor
    up: torch.Tensor
    frozen: tuple[torch.Tensor, torch.Tensor] | None

    @classmethod
    def of(cls, module: nn.Linear, rank: int, blend: LowRank | None, draw: torch.Generator) -> _Layer:
        device, edge = module.weight.device, module.in_features**-0.5
        down = (2 * torch.rand(rank, module.in_features, generator=draw) - 1) * edge
        up = torch.zeros(module.out_features, rank)
        frozen = None if blend is None else (blend.down.to(device), blend.up.to(device))
        return cls(module, down.to(device).requires_grad_(True), up.to(device).requires_grad_(True), frozen)


def _forward(layer: _Layer, scale: float, inputs: torch.Tensor) -> torch.Tensor:
    """The layer's output (..., out) for inputs (..., in)."""
    down, up = layer.down * scale, layer.up
    if layer.frozen is not None:
        down, up = torch.cat([layer.frozen[0], down]), torch.cat([layer.frozen[1], up], 1)
    output: torch.Tensor = Fused.apply(  # type: ignore[no-untyped-call]
        inputs, inputs.detach(), None, layer.module.weight, layer.module.bias, down, up
    )
    return output


def linear_layers(base: Base) -> dict[str, nn.Linear]:
    """Every linear layer but the output head, by path."""
    head = base.model.get_output_embeddings()
    return {p: m for p, m in base.model.named_modules() if isinstance(m, nn.Linear) and m is not head}


def tune_blend(
    base: Base,
    own: Residual,
    loss: ShotsLoss,
    settings: TuneSettings,
    seed: int,
    progress: Progress,
) -> tuple[Fitted, dict[str, LowRank]]:
    """What the loss's examples teach on top of a blend; nothing where no step is best. Raises as `fitted` does."""
    with fitted(base, own, loss, settings, seed, progress) as (_, found):
        return found, own.updates(base, found.weights) if found.steps else {}
