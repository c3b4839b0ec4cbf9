"""What a router minimises: the loss of blends over the adaptation set, or a metric, plus the regulariser."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import torch

from ..contract.declarations import Task
from ..contract.events import Following
from ..errors import MdkifError
from ..progress import Progress
from ..tuning.choices import Choices
from ..workspace import Workspace
from .cache import EvaluationCache, losses_key, metric_key
from .choice import ChoiceLoss
from .losses import AnswerLoss
from .metric import Metric, check_metric
from .optimizer import AdaptSettings, Candidate, RouterOptimizer, best
from .weights import WeightParameterization

if TYPE_CHECKING:
    from ..adapters.bank import SkillBank
    from ..prompts.encoding import Encoded, Encoder

AUTO, CHOICE, ANSWER = "auto", "choice", "cross-entropy"


class Measure(Protocol):
    """What is measured of blends, lower is better: a loss or a metric. It knows weights and no parameters."""

    supports_minibatch: bool
    evaluations: float

    def values(self, weights: torch.Tensor, rows: Sequence[int] | None = None) -> list[float]:
        """The value of each blend, weights (P, *shape), over the given examples or all of them."""

    def gradient(self, weights: torch.Tensor, rows: Sequence[int] | None = None) -> tuple[float, torch.Tensor]:
        """The value of one blend and its slopes in the weights."""

    def surrogate(self, near: torch.Tensor, seeds: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        """The value as the evaluations so far predict it, from weights; the blends `seeds` are among them."""


class AdaptationObjective:
    """The `Objective` of a task: a measure of its adaptation set, in the parameters of the router, regularised.

    `name` is what the settings' objective came to. Nothing is evaluated before it is asked for; the references
    are when they first are. `told` hears of evaluations.
    """

    def __init__(
        self,
        name: str,
        measure: Measure,
        space: WeightParameterization,
        settings: AdaptSettings,
        examples: Sequence[Encoded],
        skills: Sequence[str],
        progress: Progress,
    ) -> None:
        self._measure, self._settings, self._skills, self._progress = measure, settings, skills, progress
        self.name, self.space, self.examples = name, space, examples
        self.told, self._steps = Following(), 0

    @property
    def evaluations(self) -> float:
        """How much was computed, in whole adaptation sets; what the cache had is not counted."""
        return self._measure.evaluations

    @property
    def supports_minibatch(self) -> bool:
        """True for a loss, False for a metric."""
        return self._measure.supports_minibatch

    @cached_property
    def references(self) -> list[Candidate]:
        """Base, singles and uniform, base first: its likeliest tokens are those the surrogate keeps."""
        count = len(self._skills)
        rows = {"base": torch.zeros(count)}
        rows |= {name: torch.eye(count)[i] for i, name in enumerate(self._skills)}
        rows["uniform"] = torch.full((count,), 1 / count)
        references: list[Candidate] = []
        with self._progress.task("references", len(rows)) as bar:
            for name, row in rows.items():
                weights = row.expand(self.space.norms.shape).contiguous()
                references.append(Candidate(weights, self.evaluate_weights(weights[None])[0], name))
                if not math.isfinite(references[-1].value):
                    what = "the base alone" if name == "base" else f"'{name}'"
                    raise MdkifError(
                        f"The objective is {references[-1].value} with {what}: train that anew or leave it out with "
                        "--skills, or load the base with --dtype float32."
                    )
                self.told.evaluated(name, {"objective": references[-1].value})
                bar.advance(best=best(references).name)
        return references

    def values(self, parameters: torch.Tensor, rows: Sequence[int] | None = None) -> list[float]:
        """Task loss plus regulariser of each candidate, parameters (P, size)."""
        penalty = self.space.penalty(parameters.float(), self._settings.regulariser)
        return self._regularised(self.space.weights(parameters.float()), penalty, rows)

    def evaluate_weights(self, weights: torch.Tensor) -> list[float]:
        """Task loss plus regulariser of weights themselves, (P, *space.norms.shape)."""
        penalty = self.space.weight_penalty(weights.float(), self._settings.regulariser)
        return self._regularised(weights.float(), penalty)

    def gradient(self, parameters: torch.Tensor, rows: Sequence[int] | None = None) -> tuple[float, torch.Tensor]:
        """Loss and gradient at parameters (size,) over the given examples, or over all of them."""
        leaf = parameters.detach().float().requires_grad_(True)
        weights = self.space.weights(leaf)
        value, slopes = self._measure.gradient(weights.detach(), rows)
        extra = self._settings.gamma * self.space.penalty(leaf, self._settings.regulariser)
        (slope,) = torch.autograd.grad((weights * slopes).sum() + extra, leaf)
        self._tell(value + extra.item(), rows)
        return value + extra.item(), slope

    def surrogate(self, near: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        """The objective as the evaluations so far predict it; from now on every evaluation improves it."""
        predicted = self._measure.surrogate(near, torch.stack([each.weights for each in self.references]))

        def value(parameters: torch.Tensor) -> torch.Tensor:
            extra = self._settings.gamma * self.space.penalty(parameters, self._settings.regulariser)
            return predicted(self.space.weights(parameters)) + extra

        return value

    def candidate(self, parameters: torch.Tensor, value: float) -> Candidate:
        """Parameters that were evaluated, as weights."""
        return Candidate(self.space.weights(parameters.float()).detach(), value)

    def _regularised(
        self, weights: torch.Tensor, penalty: torch.Tensor, rows: Sequence[int] | None = None
    ) -> list[float]:
        extras = (self._settings.gamma * penalty).tolist()
        values = [value + extra for value, extra in zip(self._measure.values(weights, rows), extras, strict=True)]
        self._tell(min(values), rows)
        return values

    def _tell(self, value: float, rows: Sequence[int] | None) -> None:
        """Of what was evaluated on all examples; the values of different parts cannot be compared."""
        if rows is None:
            self._steps += 1
            self.told.step(self._steps, objective=value, evaluations=self.evaluations)


def check_objective(workspace: Workspace, task: Task, name: str) -> None:
    """Raises BadInput for what is neither a loss nor a metric of the task, whatever its records are."""
    if name not in (AUTO, CHOICE, ANSWER):
        check_metric(workspace, task, name, (CHOICE, ANSWER))


def adaptation_objective(
    workspace: Workspace,
    task: Task,
    encoder: Encoder,
    bank: SkillBank,
    versions: Mapping[str, str],
    examples: Sequence[Encoded],
    settings: AdaptSettings,
) -> AdaptationObjective:
    """The objective of a task on its adaptation set, for a bank of skills with these versions.

    Raises BadInput for an objective the task does not offer.
    """
    base, listed = workspace.base, all(example.options for example in examples)
    name = settings.objective if settings.objective != AUTO else CHOICE if listed else ANSWER

    def cache(key: str) -> EvaluationCache:
        return EvaluationCache(workspace.store.evaluation_cache(base.name, key))

    measure: Measure
    if name == ANSWER:
        key = losses_key(base, bank, versions, examples, name)
        measure = AnswerLoss(base, bank, examples, cache(key), settings.tokens)
    elif name == CHOICE and listed:
        choices = Choices.of(task, encoder, examples)
        key = losses_key(base, bank, versions, choices.prompts, choices.signature)
        measure = ChoiceLoss(base, bank, choices, cache(key), settings.tokens)
    else:
        check_metric(workspace, task, name, (CHOICE, ANSWER) if listed else (ANSWER,))
        key = metric_key(workspace, bank, versions, examples, task, encoder, name)
        measure = Metric(workspace.plugins, task, encoder, bank, examples, cache(key), name)
    return AdaptationObjective(name, measure, _space(bank, name, settings), settings, examples, bank.names,
                               workspace.progress)  # fmt: skip


def routed(
    optimizer: RouterOptimizer,
    task: Task,
    encoder: Encoder,
    bank: SkillBank,
    examples: Sequence[Encoded],
    settings: AdaptSettings,
    progress: Progress,
) -> torch.Tensor:
    """The weights that a router finds for any bank on the encoder's base, of which nothing is kept in a store.

    The objective is `choice` where all examples list options, else the cross-entropy of the answers.
    """
    measure: Measure
    if all(example.options for example in examples):
        name, choices = CHOICE, Choices.of(task, encoder, examples)
        measure = ChoiceLoss(encoder.base, bank, choices, EvaluationCache(), settings.tokens)
    else:
        name, measure = ANSWER, AnswerLoss(encoder.base, bank, examples, EvaluationCache(), settings.tokens)
    space = _space(bank, name, settings)
    objective = AdaptationObjective(name, measure, space, settings, examples, bank.names, progress)
    return optimizer.search(objective, settings.seed, progress).weights


def _space(bank: SkillBank, objective: str, settings: AdaptSettings) -> WeightParameterization:
    """How the router's parameters become weights; signed by default with the objective `choice`."""
    if settings.scale != "auto":
        return WeightParameterization.of(bank.norms(), settings.scale, settings.temperature)
    return WeightParameterization.of(bank.norms(), "signed" if objective == CHOICE else "one", settings.temperature)
