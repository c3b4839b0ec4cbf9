"""PEFT's allocation of ranks and its penalty over all modules at once: the same numbers from a few wide operations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from . import AVERAGES


@dataclass(frozen=True)
class Triplets:
    """The factors of every module that AdaLoRA adapts, by the names PEFT's allocator has for them.

    `down` are (rank, in), `values` (rank, 1) and `up` (out, rank), all float32.
    """

    down: dict[str, torch.Tensor]
    values: dict[str, torch.Tensor]
    up: dict[str, torch.Tensor]

    @classmethod
    def of(cls, model: Any) -> Triplets:
        """Those of a PeftModel's one adapter."""
        factors = [(n, p) for n, p in model.base_model.model.named_parameters() if ".lora_" in n]
        return cls(*({n: p for n, p in factors if f".lora_{letter}." in n} for letter in "AEB"))

    def kept(self) -> float:
        """The mean number of singular values per module that are not zero."""
        return float(torch.cat([value.detach() for value in self.values.values()]).count_nonzero()) / len(self.values)

    def distance(self) -> torch.Tensor:
        """The mean over factors P of ||P P^T - I||_F, rows of P being a module's singular vectors."""
        by_width: dict[int, list[torch.Tensor]] = {}
        for factor in [*self.down.values(), *(up.T for up in self.up.values())]:
            by_width.setdefault(factor.shape[1], []).append(factor.float())
        stacked = [torch.stack(factors) for factors in by_width.values()]
        grams = torch.cat([each @ each.mT for each in stacked])
        identity = torch.eye(grams.shape[-1], device=grams.device)
        distance: torch.Tensor = torch.linalg.matrix_norm(grams - identity).mean()
        return distance

    @torch.no_grad()
    def allocate(self, allocator: Any, config: Any, step: int) -> None:
        """What PEFT's `update_and_allocate` does after optimizer step `step`, in its RankAllocator and config."""
        last = config.total_step - config.tfinal
        if step < last:
            self._watch(allocator)
        if step <= last:
            budget, due = allocator.budget_schedule(step)
            if not due and step < last:
                return
            config.rank_pattern = self._chosen(allocator, budget)
        if step == last:
            allocator.reset_ipt()
        self._cut(config.rank_pattern)

    def _watch(self, allocator: Any) -> None:
        """Importance |p g| of every number, its average, and the average of its deviation (eq. 12)."""
        factors = {**self.down, **self.values, **self.up}
        if not allocator.ipt:
            for field in AVERAGES:
                setattr(allocator, field, {name: torch.zeros_like(factor) for name, factor in factors.items()})
        for name, factor in factors.items():
            assert factor.grad is not None
            now, mean, deviation = (getattr(allocator, field)[name] for field in AVERAGES)
            torch.mul(factor, factor.grad, out=now).abs_()
            mean.mul_(allocator.beta1).add_(now * (1 - allocator.beta1))
            deviation.mul_(allocator.beta2).add_((now - mean).abs_().mul_(1 - allocator.beta2))

    def _chosen(self, allocator: Any, budget: int) -> dict[str, list[bool]]:
        """Which triplets stay: those of the highest scores in all modules together (eqs. 13, 14)."""
        score = {n: allocator.exp_avg_ipt[n] * allocator.exp_avg_unc[n] for n in allocator.exp_avg_ipt}
        of_vectors = [score[d].mean(1) + score[u].mean(0) for d, u in zip(self.down, self.up, strict=True)]
        scores = [score[n].view(-1) + vectors for n, vectors in zip(self.values, of_vectors, strict=True)]
        threshold = torch.cat(scores).kthvalue(allocator.init_bgt - budget).values
        return {n: (each > threshold).tolist() for n, each in zip(self.values, scores, strict=True)}

    def _cut(self, kept: dict[str, list[bool]]) -> None:
        for name, value in self.values.items():
            value.masked_fill_(~torch.tensor(kept[name], device=value.device)[:, None], 0.0)
