"""The skill bank: every skill's low-rank update stacked per module on one frozen base, blended in one pass.

A blend is computed beside each weight or, where that is cheaper, in it; both are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from ..errors import BadInput
from .blending import Merged, merging_pays
from .low_rank import LowRank


@dataclass(frozen=True)
class _Stack:
    """One module's skills, stacked: `down` (R, in), `up` (out, R) and, for each of the R rows, its skill."""

    down: torch.Tensor
    up: torch.Tensor
    skill: torch.Tensor
    group: int


class SkillBank:
    """K skills on a frozen model: `h = W x + sum_i w_i dW_i x` (SA-MDKIF eq. 8), exactly and in one pass.

    Weights have shape (K,) for one blend, or (rows, K) to give every batch row its own, so a whole
    population of candidates shares one forward; with granularity "layer" or "module" a dimension of
    `groups` precedes K. Skills may have any ranks, even 0, and need not touch the same modules.

    `skills` maps names to updates by module path. Raises BadInput, naming skill and module, if an
    update does not fit the model.
    """

    def __init__(
        self, model: nn.Module, skills: Mapping[str, Mapping[str, LowRank]], granularity: str = "skill"
    ) -> None:
        self.names = list(skills)
        self.granularity = granularity
        self._modules = dict(model.named_modules())
        touched = sorted({path for updates in skills.values() for path in updates})
        for name, updates in skills.items():
            for path, update in updates.items():
                self._check(name, path, update)
        keys = [_group_key(path, granularity) for path in touched]
        self.group_names = sorted(set(keys), key=keys.index)
        self._stacks = {
            path: self._stack(path, [skills[name].get(path) for name in self.names], self.group_names.index(key))
            for path, key in zip(touched, keys, strict=True)
        }
        self._weights: torch.Tensor | None = None

    @property
    def paths(self) -> list[str]:
        """The modules that any skill updates."""
        return list(self._stacks)

    @property
    def groups(self) -> int:
        """How many independent sets of K weights there are: 1, or the layers or modules touched."""
        return len(self.group_names) if self.granularity != "skill" else 1

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one blend's weights: (K,), or (groups, K) for a finer granularity."""
        return (len(self.names),) if self.granularity == "skill" else (self.groups, len(self.names))

    @contextmanager
    def blend(self, weights: torch.Tensor) -> Iterator[None]:
        """Within the block the model computes the blend; gradients reach `weights` and nothing else."""
        if weights.shape[-len(self.shape) :] != self.shape:
            raise ValueError(f"weights have shape {tuple(weights.shape)}; they must end in {self.shape}")
        blended = {path: self._blended(path, stack, weights) for path, stack in self._stacks.items()}
        try:
            for path, forward in blended.items():
                self._modules[path].forward = forward
            yield
        finally:
            for path in blended:
                self._modules[path].__dict__.pop("forward", None)

    def worth_alone(self, tokens: int) -> bool:
        """Whether a candidate of that many tokens is cheaper by itself than in one pass with others."""
        shapes = [(stack.down.shape[1], stack.up.shape[0]) for stack in self._stacks.values()]
        return bool(shapes) and sum(merging_pays(tokens, *shape) for shape in shapes) * 2 > len(shapes)

    @contextmanager
    def merged(self, weights: torch.Tensor) -> Iterator[None]:
        """Within the block the blend is in the base weights themselves, so it costs nothing; then they are restored."""
        kept = {path: self._modules[path].weight.detach() for path in self._stacks}
        try:
            for path, weight in kept.items():
                target: Any = self._modules[path].weight
                target.data = (weight.float() + self.delta(path, weights)).to(weight.dtype)
            yield
        finally:
            for path, weight in kept.items():
                target = self._modules[path].weight
                target.data = weight

    def delta(self, path: str, weights: torch.Tensor) -> torch.Tensor:
        """The dense float32 update `sum_i w_i dW_i` of one module, shape (out, in)."""
        stack = self._stacks[path]
        return (stack.up.float() * self._rows(stack, weights)) @ stack.down.float()

    def fused(self, weights: torch.Tensor) -> dict[str, LowRank]:
        """The blend as one low-rank update per module, of rank at most the sum of the skills' ranks."""
        fused: dict[str, LowRank] = {}
        for path, stack in self._stacks.items():
            row = self._rows(stack, weights)
            used = row != 0
            fused[path] = LowRank((stack.down.float() * row[:, None])[used].cpu(), stack.up.float()[:, used].cpu())
        return fused

    def norms(self) -> torch.Tensor:
        """s(theta_i) of the router: the RMS over modules of ||dW_i||_F, divided by its mean over skills.

        Float32 of the bank's `shape`; a finer granularity takes the modules of each group.
        """
        squares = torch.zeros(self.groups, len(self.names))
        counts = torch.zeros(self.groups, 1)
        for stack in self._stacks.values():
            group = stack.group if self.granularity != "skill" else 0
            counts[group] += 1
            for i in range(len(self.names)):
                rows = stack.skill == i
                squares[group, i] += LowRank(stack.down[rows].float(), stack.up[:, rows].float()).squared_norm
        norms = (squares / counts).sqrt()
        mean = norms.mean(-1, keepdim=True)
        return torch.where(mean > 0, norms / mean.clamp(min=1e-30), torch.ones_like(norms)).reshape(self.shape)

    def _blended(self, path: str, stack: _Stack, weights: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        """The module's forward with the blend: in the weight for many tokens of one blend, else beside it."""
        module: Any = self._modules[path]
        plain = module.forward
        rows = self._rows(stack, weights).to(stack.down.dtype)
        exact = stack.down.dtype in (torch.float32, torch.float64)  # in half precision the weight would round it away

        def forward(inputs: torch.Tensor) -> torch.Tensor:
            tokens = inputs.shape[:-1].numel()
            if rows.dim() == 1 and exact and merging_pays(tokens, stack.down.shape[1], stack.up.shape[0]):
                merged: torch.Tensor = Merged.apply(  # type: ignore[no-untyped-call]
                    inputs, rows, module.weight, module.bias, stack.down, stack.up
                )
                return merged
            own = rows if rows.dim() == 1 else rows[:, None, :]
            added = functional.linear(functional.linear(inputs, stack.down) * own, stack.up)
            output: torch.Tensor = plain(inputs)
            return output + added

        return forward

    def _rows(self, stack: _Stack, weights: torch.Tensor) -> torch.Tensor:
        """Each stacked row's weight: shape (..., R)."""
        own = weights if self.granularity == "skill" else weights[..., stack.group, :]
        return own.to(stack.down.device)[..., stack.skill]

    def _stack(self, path: str, updates: Sequence[LowRank | None], group: int) -> _Stack:
        weight: Any = self._modules[path].weight
        present = [(i, update) for i, update in enumerate(updates) if update is not None]
        down = torch.cat([update.down for _, update in present]).to(weight)
        up = torch.cat([update.up for _, update in present], dim=1).to(weight)
        skill = torch.tensor([i for i, update in present for _ in range(update.rank)], dtype=torch.long)
        return _Stack(down, up, skill.to(weight.device), group)

    def _check(self, name: str, path: str, update: LowRank) -> None:
        module = self._modules.get(path)
        fits = isinstance(module, nn.Linear) and module.weight.shape == (update.up.shape[0], update.down.shape[1])
        if not fits:
            there = (
                f"has shape {tuple(module.weight.shape)}" if isinstance(module, nn.Linear) else "is not a linear layer"
            )
            raise BadInput(
                f"The skill '{name}' does not fit this base model: {path} {there}, the adapter needs "
                f"({update.up.shape[0]}, {update.down.shape[1]}); use the base it was trained on."
            )


def _group_key(path: str, granularity: str) -> str:
    """Which modules share weights: all, those of one transformer block, or none."""
    if granularity == "skill":
        return ""
    if granularity == "module":
        return path
    parts = path.split(".")
    numbers = [i for i, part in enumerate(parts) if part.isdigit()]
    return ".".join(parts[: numbers[0] + 1]) if numbers else path
