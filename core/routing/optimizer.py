"""The contract of a router optimizer: what it is given to minimise and what it returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ..settings import Settings

if TYPE_CHECKING:
    import torch

    from ..progress import Progress
    from .weights import WeightParameterization


FACTORS = (0.25, 0.5, 2.0, 4.0)


@dataclass(frozen=True)
class Candidate:
    """Weights with the value of the objective there (lower is better); `name` tells a reference."""

    weights: torch.Tensor
    value: float
    name: str = ""


class Objective(Protocol):
    """What an optimizer minimises: the task loss over the adaptation set plus the regulariser.

    What was evaluated once is not evaluated again, not even by a later search on the same records.
    """

    space: WeightParameterization

    @property
    def references(self) -> Sequence[Candidate]:
        """Base (all weights 0), every single skill and uniform, in this order, evaluated when first asked for."""

    @property
    def examples(self) -> Sequence[object]:
        """The adaptation set, in random order; an optimizer draws mini-batches and subsets by its length."""

    @property
    def supports_minibatch(self) -> bool:
        """Whether a part of the examples estimates the objective: of a loss it does, of a metric not."""

    def values(self, parameters: torch.Tensor, rows: Sequence[int] | None = None) -> list[float]:
        """The objective of a population, (P, size), over the given examples or all of them.

        It is evaluated in shared forward passes. Raises BadInput for rows of an undivided objective.
        """

    def evaluate_weights(self, weights: torch.Tensor) -> list[float]:
        """The objective at weights themselves, (P, *space.norms.shape); they may be negative and have any sum."""

    def gradient(self, parameters: torch.Tensor, rows: Sequence[int] | None = None) -> tuple[float, torch.Tensor]:
        """The objective at (size,) and its gradient, over the given examples or all of them."""

    def surrogate(self, near: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        """What the evaluations so far predict, best near those weights: from parameters (size,) to a scalar.

        It can be differentiated and costs no pass through the model. Raises BadInput where there is none.
        """

    def candidate(self, parameters: torch.Tensor, value: float) -> Candidate:
        """Parameters that were evaluated, as weights."""


@dataclass(kw_only=True)
class RouterOptimizer(Settings, ABC):
    """A dataclass whose fields are the optimizer's settings (`--set name=value`)."""

    @abstractmethod
    def search(self, objective: Objective, seed: int, progress: Progress) -> Candidate:
        """The best candidate found; the same seed finds the same. Never worse than its own start."""


def starting_points(objective: Objective) -> list[Candidate]:
    """Where a search may begin: the best single skill, then uniform, each with the total that suits it best.

    With a total that is fixed at 1 they are two of the references; else each is evaluated at a quarter, half,
    twice and four times its weights too, and is then called, for instance, "nli x 0.5". One skill alone is one point.
    """
    _, *singles, uniform = objective.references
    points = [best(singles), uniform] if len(singles) > 1 else singles
    return points if objective.space.scale == "one" else [_scaled(objective, each) for each in points]


def _scaled(objective: Objective, reference: Candidate) -> Candidate:
    import torch

    weights = torch.stack([factor * reference.weights for factor in FACTORS])
    names = [f"{reference.name} x {factor:g}" for factor in FACTORS]
    each = zip(weights, objective.evaluate_weights(weights), names, strict=True)
    return best([reference, *(Candidate(*found) for found in each)])


def best(candidates: Sequence[Candidate]) -> Candidate:
    """The candidate of the lowest value; the first of equals."""
    return min(candidates, key=lambda candidate: candidate.value)
