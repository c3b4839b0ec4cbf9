"""The papers' normal setting: the router's a and b by gradient descent, skills and base frozen."""

from __future__ import annotations

import random
from dataclasses import dataclass

from mdkif import Candidate, Objective, Progress, Router, RouterOptimizer, best, hookimpl


@hookimpl
def mdkif_routers() -> list[Router]:
    """One router, `gradient`."""
    return [Router(name="gradient", title="Gradient descent on the router", target="mdkif_router_gradient:Gradient")]


@dataclass(kw_only=True)
class Gradient(RouterOptimizer):
    """Adam on (a, b), from the best reference, over seeded mini-batches (`batch` 0: the whole set)."""

    steps: int = 20
    batch: int = 16
    learning_rate: float = 0.2

    def search(self, objective: Objective, seed: int, progress: Progress) -> Candidate:
        """The final parameters, evaluated once on the whole set, or the best reference if that is better."""
        import torch

        draw = random.Random(f"gradient:{seed}")
        count = len(objective.examples)
        point = objective.space.parameters(best(objective.references).weights)
        adam = torch.optim.Adam([point], lr=self.learning_rate)
        with progress.task("router: gradient", self.steps) as bar:
            for _ in range(self.steps):
                rows = draw.sample(range(count), self.batch) if 0 < self.batch < count else None
                value, point.grad = objective.gradient(point, rows)
                adam.step()
                bar.advance(loss=f"{value:.4f}")
        found = objective.candidate(point, objective.values(point[None])[0])
        return best([found, *objective.references])
