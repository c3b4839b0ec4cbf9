"""The papers' normal setting: the router's parameters by gradient descent, skills and base frozen."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from mdkif import Candidate, Objective, Progress, Router, RouterOptimizer, best, explained, hookimpl, starting_points


@hookimpl
def mdkif_routers() -> list[Router]:
    """One router, `gradient`."""
    return [Router(name="gradient", title="Gradient descent on the router", target="mdkif_router_gradient:Gradient")]


@dataclass(kw_only=True)
class Gradient(RouterOptimizer):
    """Adam on the parameters, over seeded mini-batches (`batch` 0: the whole set).

    `start` "several" takes `steps` from the best single skill and as many from uniform, "best" from the best
    reference alone. Where steps see parts of the set only, every `every`th point and the last are evaluated on
    all of it.
    """

    steps: int = explained(24, "steps of Adam from each start")
    batch: int = explained(16, "examples per step; 0 means all")
    learning_rate: float = explained(0.2, "its rate, in units of the logits or, of signed weights, of their double")
    every: int = explained(
        5, "steps between evaluations on all examples, where a step sees a part of them; 0: only the last"
    )
    start: Literal["several", "best"] = explained(
        "several", "several: from the best single skill and from uniform; best: from the best reference"
    )

    def search(self, objective: Objective, seed: int, progress: Progress) -> Candidate:
        """The best point that was evaluated on the whole set, references included."""
        known = [*objective.references, *starting_points(objective)]
        begins = starting_points(objective) if self.start == "several" else [best(known)]
        draw = random.Random(f"gradient:{seed}")
        with progress.task("router: gradient", self.steps * len(begins)) as bar:
            for begin in begins:
                for value, found in self._descent(objective, begin, draw):
                    known += found
                    bar.advance(loss=f"{value:.4f}")
        return best(known)

    def _descent(
        self, objective: Objective, begin: Candidate, draw: random.Random
    ) -> Iterator[tuple[float, list[Candidate]]]:
        """The loss that each step saw, and the points evaluated on the whole set."""
        import torch

        count, point = len(objective.examples), objective.space.parameters(begin.weights)
        adam = torch.optim.Adam([point], lr=self.learning_rate)
        for step in range(1, self.steps + 1):
            rows = draw.sample(range(count), self.batch) if 0 < self.batch < count else None
            value, point.grad = objective.gradient(point, rows)
            found = [] if rows else [objective.candidate(point, value)]
            adam.step()
            if step == self.steps or (rows and self.every and step % self.every == 0):
                found.append(objective.candidate(point, objective.values(point[None])[0]))
            yield value, found
