"""The skill bank: every skill's low-rank update stacked per module on one frozen base, blended in one pass.

A blend is computed beside each weight or, where that is cheaper, in it. Updates stay in float32 whatever the
base's dtype, and no blend is rounded to a weight in half precision unless that is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from ..errors import BadInput
from .blending import Factors, computed
from .low_rank import LowRank


@dataclass(frozen=True)
class _Stack:
    """One module's skills, stacked: their factors and, for each of the R rows, its skill."""

    factors: Factors
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
        each = [stack.factors.merging_pays(tokens) for stack in self._stacks.values()]
        return sum(each) * 2 > len(each)

    def applied(self, weights: torch.Tensor) -> AbstractContextManager[None]:
        """Within the block the model computes one blend for long: in the weights, unless they would round it.

        Weights in half precision would (see `merging_error`), so there it is `blend`, which a search measures.
        """
        halves = any(stack.factors.cast_up.dtype != stack.factors.up.dtype for stack in self._stacks.values())
        return self.blend(weights) if halves else self.merged(weights)

    @contextmanager
    def merged(self, weights: torch.Tensor, rounded: bool = True) -> Iterator[None]:
        """Within the block the blend is in the base weights, rounded to their dtype; then they are restored.

        Not `rounded`, they are float32 or wider, for who reads them: a model in half precision cannot run so.
        """
        kept = {path: self._modules[path].weight.detach() for path in self._stacks}
        try:
            for path, weight in kept.items():
                target: Any = self._modules[path].weight
                exact = weight + self.delta(path, weights)
                target.data = exact.to(weight.dtype) if rounded else exact
            yield
        finally:
            for path, weight in kept.items():
                target = self._modules[path].weight
                target.data = weight

    def delta(self, path: str, weights: torch.Tensor) -> torch.Tensor:
        """The dense update `sum_i w_i dW_i` of one module, float32 or wider, shape (out, in)."""
        stack = self._stacks[path]
        return stack.factors.delta(self._rows(stack, weights))

    def norm(self, weights: torch.Tensor) -> float:
        """||D||, the Frobenius norm of a blend's update over all modules, in float64."""
        exact = [(stack.factors, self._rows(stack, weights)) for stack in self._stacks.values()]
        return math.sqrt(math.fsum(LowRank(f.down.double(), f.up * rows.double()).squared_norm for f, rows in exact))

    def blending_error(self, weights: torch.Tensor) -> float:
        """||D_cast - D|| / ||D|| over all modules: the update as `blend` computes it beside weights in half precision.

        D_cast is made of the factors in the base's dtype. 0 where that is float32, or there is no update.
        """
        stacks = [(stack.factors, self._rows(stack, weights)) for stack in self._stacks.values()]
        off = math.fsum(factors.off(rows).squared_norm for factors, rows in stacks)
        return _relative(off, self.norm(weights))

    def merging_error(self, weights: torch.Tensor) -> float:
        """||cast(W + D) - W - D|| / ||D|| over all modules: what rounding to the weights' dtype makes of the update.

        In float32 it is what a sum of a large and a small number loses. 0 where there is no update.
        """
        off = 0.0
        for path in self._stacks:
            weight: Any = self._modules[path].weight
            exact = weight.double() + self.delta(path, weights)
            off += float(((weight + self.delta(path, weights)).to(weight.dtype) - exact).square().sum())
        return _relative(off, self.norm(weights))

    def fused(self, weights: torch.Tensor) -> dict[str, LowRank]:
        """The blend as one low-rank update per module, of rank at most the sum of the skills' ranks."""
        fused: dict[str, LowRank] = {}
        for path, stack in self._stacks.items():
            row = self._rows(stack, weights)
            used = stack.factors.only(row != 0)
            fused[path] = LowRank((used.down * row[row != 0][:, None]).cpu().float(), used.up.cpu().float())
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
                squares[group, i] += LowRank(stack.factors.down[rows], stack.factors.up[:, rows]).squared_norm
        norms = (squares / counts).sqrt()
        mean = norms.mean(-1, keepdim=True)
        return torch.where(mean > 0, norms / mean.clamp(min=1e-30), torch.ones_like(norms)).reshape(self.shape)

    def _blended(self, path: str, stack: _Stack, weights: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        """The module's forward with the blend; skills of weight 0 take no part in one that has no gradient."""
        rows, factors = self._rows(stack, weights), stack.factors
        used = rows != 0
        if rows.dim() == 1 and not rows.requires_grad and not bool(used.all()):
            rows, factors = rows[used], factors.only(used)
        module = self._modules[path]
        return partial(computed, module, rows=rows, factors=factors) if len(rows) else module.forward

    def _rows(self, stack: _Stack, weights: torch.Tensor) -> torch.Tensor:
        """Each stacked row's weight: shape (..., R)."""
        own = weights if self.granularity == "skill" else weights[..., stack.group, :]
        return own.to(stack.factors.up)[..., stack.skill]

    def _stack(self, path: str, updates: Sequence[LowRank | None], group: int) -> _Stack:
        weight: Any = self._modules[path].weight
        present = [(i, update) for i, update in enumerate(updates) if update is not None]
        down = torch.cat([update.down for _, update in present])
        up = torch.cat([update.up for _, update in present], dim=1)
        skill = torch.tensor([i for i, update in present for _ in range(update.rank)], dtype=torch.long)
        return _Stack(Factors.of(down, up, weight), skill.to(weight.device), group)

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


def _relative(squared: float, whole: float) -> float:
    return math.sqrt(max(0.0, squared)) / whole if whole else 0.0


def _group_key(path: str, granularity: str) -> str:
    """Which modules share weights: all, those of one transformer block, or none."""
    if granularity == "skill":
        return ""
    if granularity == "module":
        return path
    parts = path.split(".")
    numbers = [i for i, part in enumerate(parts) if part.isdigit()]
    return ".".join(parts[: numbers[0] + 1]) if numbers else path
