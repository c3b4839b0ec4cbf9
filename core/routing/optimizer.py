"""The contract of stage II: its settings, what a router optimizer is given to minimise, and what it returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from ..data.learnt import Overlap
from ..settings import Positive, PositiveFloat, Settings, explained

if TYPE_CHECKING:
    import torch

    from ..progress import Progress
    from .weights import WeightParameterization


FACTORS = (0.25, 0.5, 2.0, 4.0)


@dataclass(kw_only=True)
class AdaptSettings(Settings):
    """Settings of stage II, the same for every router optimizer.

    `setting` few-shot draws `shots` records of `split`, normal `limit` of them (0: as many as there are
    test records, as STAF-LLM does); of labels that all records list, each has its share. `split_policy` names one. By
    default the records are those kept from the skills ("adapt") or, where no skill has learnt from the data set,
    all for training. Records that a skill learnt from are refused, left out or kept, by `overlap`. The rest states the
    objective (`ObjectiveSettings`).
    """

    objective: str = explained(
        "auto",
        "`choice`, the cross-entropy of the right options; `cross-entropy`, that of the answers' tokens; `auto`, the "
        "first where records list options, else the second; or a metric of the task's evaluator",
    )
    scale: Literal["auto", "one", "free", "signed"] = explained(
        "auto",
        "one: the weights are positive and sum to 1; free: their sum is learnt too; signed: any weights; auto: signed "
        "with the objective `choice`, one with any other",
    )
    temperature: PositiveFloat = explained(1.0, "τ of eq. 3")
    regulariser: Literal["alpha", "weights", "shares"] = explained(
        "weights", "Σ w² (STAF-LLM eq. 7), the same of the weights' shares, or Σ a² (SA-MDKIF eq. 6)"
    )
    gamma: float = explained(0.0, "factor of the regulariser")
    tokens: Positive = explained(2048, "padded tokens of one forward pass; half as many of one backward")
    setting: Literal["few-shot", "normal"] = explained("few-shot", "whether `shots` records are drawn, or `limit`")
    shots: Positive = explained(32, "records of the few-shot setting")
    limit: int = explained(0, "records of the normal setting; 0 means as many as there are test records")
    split_policy: str = explained("official", "who learns from what: official, 8:2, paper or paper:SEED")
    split: str = explained("", "split they are drawn from; test is refused")
    granularity: Literal["skill", "layer", "module"] = explained(
        "skill", "one weight per skill, or one in each layer or module"
    )
    max_length: Positive = explained(512, "tokens of prompt and answer; longer contexts are cut")
    seed: int = explained(0, "the draw of records, and the search")
    overlap: Overlap = explained("refuse", "what becomes of records that a skill learnt from")
    tune: str = explained(
        "none",
        "steps of a small LoRA on top of the blend, on the same records: a number, `none`, or `auto`, as many as do "
        "best on records that are held out in turn",
    )
    tune_rank: Positive = explained(4, "rank of that LoRA")
    tune_rate: PositiveFloat = explained(1e-3, "its learning rate")
    tune_most: Positive = explained(16, "most steps that `auto` tries")


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
    return [at_best_total(objective, each) for each in points]


def at_best_total(objective: Objective, reference: Candidate) -> Candidate:
    """A reference or, where the total of the weights is not fixed, the best of a few multiples of it."""
    if objective.space.scale == "one":
        return reference
    import torch

    weights = torch.stack([factor * reference.weights for factor in FACTORS])
    names = [f"{reference.name} x {factor:g}" for factor in FACTORS]
    each = zip(weights, objective.evaluate_weights(weights), names, strict=True)
    return best([reference, *(Candidate(*found) for found in each)])


def best(candidates: Sequence[Candidate]) -> Candidate:
    """The candidate of the lowest value; the first of equals."""
    return min(candidates, key=lambda candidate: candidate.value)
