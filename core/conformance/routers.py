"""Rules for router optimizers: a search for known weights, on a function whose minimum is known."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING

from ..contract.declarations import Router
from ..progress import Progress
from ..routing.optimizer import Candidate, RouterOptimizer, best
from .finding import Finding, finding

if TYPE_CHECKING:
    import torch

    from ..routing.weights import WeightParameterization

BEST = (0.6, 0.3, 0.1)


def router(declared: Router, subject: str) -> Iterator[Finding]:
    """The rules for a router optimizer."""
    yield finding(subject, "its settings have defaults", lambda: _defaults(declared))
    yield finding(
        subject, "minimises a known function, and never does worse than its start", lambda: _minimises(declared)
    )
    yield finding(subject, "keeps to its budget of evaluations", lambda: _budget(declared))
    yield finding(subject, "is seeded, and leaves others' random numbers alone", lambda: _seeded(declared))


def _defaults(declared: Router) -> Iterator[str]:
    if not isinstance(declared.load()(), RouterOptimizer):
        yield f"Its target {declared.target} is none: name a class that inherits from mdkif.RouterOptimizer."


class Bowl:
    """The squared distance of the weights from `BEST`, as an objective that counts its evaluations.

    What is evaluated again, on the same examples, costs nothing, as with the objective of stage II.
    """

    supports_minibatch = True

    def __init__(self) -> None:
        import torch

        from ..routing.weights import WeightParameterization

        self.space: WeightParameterization = WeightParameterization(torch.ones(len(BEST)))
        self.examples: Sequence[object] = range(16)
        self.gradients, self._seen = 0, set[tuple[str, int]]()
        self._best = torch.tensor(BEST)
        rows = {"base": torch.zeros(len(BEST)), "uniform": torch.full((len(BEST),), 1 / len(BEST))}
        rows |= {f"skill {i}": row for i, row in enumerate(torch.eye(len(BEST)))}
        self.references = [Candidate(row, self._value(row), name) for name, row in rows.items()]

    @property
    def evaluations(self) -> float:
        """How often the whole set of examples was evaluated."""
        return self.gradients + len(self._seen) / len(self.examples)

    def values(self, parameters: torch.Tensor, rows: Sequence[int] | None = None) -> list[float]:
        """The value of each row of a population, (P, size), which is the same on every part of the examples."""
        return self.evaluate_weights(self.space.weights(parameters.float()), rows)

    def surrogate(self, near: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        """The values themselves, but for a shift that grows with the way from `near`."""
        return lambda parameters: (
            (self.space.weights(parameters) - self._best).square().sum()
            + 0.1 * (self.space.weights(parameters) - near).square().sum()
        )

    def evaluate_weights(self, weights: torch.Tensor, rows: Sequence[int] | None = None) -> list[float]:
        """The value of each row of weights, (P, K)."""
        examples = range(len(self.examples)) if rows is None else rows
        self._seen |= {(str(row.tolist()), example) for row in weights for example in examples}
        return [self._value(row) for row in weights.float()]

    def gradient(self, parameters: torch.Tensor, rows: Sequence[int] | None = None) -> tuple[float, torch.Tensor]:
        """The value and gradient at (size,)."""
        self.gradients += 1
        leaf = parameters.detach().float().requires_grad_(True)
        value = ((self.space.weights(leaf) - self._best) ** 2).sum()
        value.backward()
        assert leaf.grad is not None
        return value.item(), leaf.grad.detach()

    def candidate(self, parameters: torch.Tensor, value: float) -> Candidate:
        """Parameters as weights."""
        return Candidate(self.space.weights(parameters.float()).detach(), value)

    def _value(self, weights: torch.Tensor) -> float:
        return float(((weights - self._best) ** 2).sum())


def _minimises(declared: Router) -> Iterator[str]:
    bowl = Bowl()
    found = declared.load()().search(bowl, 0, Progress())
    there = float(((found.weights.float() - bowl._best) ** 2).sum())
    if abs(there - found.value) > 1e-4:
        yield f"It says {found.value:.4f} for weights whose value is {there:.4f}: return a candidate it evaluated."
    if not bowl.evaluations:  # a reference, which does not search
        return
    start = best(bowl.references).value
    if found.value > start:
        yield f"It ends at {found.value:.4f}, above its start {start:.4f}: return the best of all, references included."
    if found.value > start / 2:
        yield f"From {start:.4f} it comes to {found.value:.4f} only, of a minimum of 0: search longer or otherwise."


def _budget(declared: Router) -> Iterator[str]:
    cls = declared.load()
    if "evaluations" in {field.name for field in fields(cls)}:
        bowl = Bowl()
        cls(evaluations=40).search(bowl, 0, Progress())
        if bowl.evaluations > 40:
            yield f"Told to make 40 evaluations it makes {bowl.evaluations}: stop at the budget."


def _seeded(declared: Router) -> Iterator[str]:
    import numpy as np
    import torch

    def states() -> tuple[object, ...]:
        return random.getstate(), torch.get_rng_state().tolist(), str(np.random.get_state())

    before = states()
    first, again = (declared.load()().search(Bowl(), 3, Progress()).weights for _ in range(2))
    if not torch.equal(first, again):
        yield "The same seed finds other weights: draw from a generator of your own, seeded with `seed`."
    if states() != before:
        yield "It changes the random state of Python, NumPy or PyTorch: use a generator, or put the state back."
