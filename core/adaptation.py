"""Stage II: the router of one task is learnt on its adaptation set, with every skill and the base frozen."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch

from .batching import budgeted, collate
from .compositions import Composition, bank_of, new_composition, usable
from .conversion import Conversion
from .declarations import Evaluator, Router, Task
from .encoding import Encoded, Encoder
from .errors import BadInput
from .evaluation import predict
from .optimizer import Candidate, best
from .router import Regulariser, Space
from .settings import Positive, PositiveFloat, settings_from
from .skills import trained_skills
from .training import answer_loss
from .workspace import Sources, Workspace, sample

if TYPE_CHECKING:
    from .bank import SkillBank
    from .records import Record


@dataclass(kw_only=True)
class AdaptationSettings:
    """Settings of stage II, the same for every router optimizer.

    `setting` few-shot draws `shots` records of `split`, normal `limit` of them (0: as many as there are
    test records, as STAF-LLM does). `split_policy` names one, and `split`, where it is empty, its
    "train" or, for "paper", its "dev". `objective` is "cross-entropy" (eq. 5, in nats per answer token)
    or a metric of the task's evaluator. `tokens` bounds one forward pass, and half of it one backward.
    """

    setting: Literal["few-shot", "normal"] = "few-shot"
    shots: Positive = 32
    limit: int = 0
    split_policy: str = "official"
    split: str = ""
    objective: str = "cross-entropy"
    scale: Literal["one", "free"] = "one"
    granularity: Literal["skill", "layer", "module"] = "skill"
    temperature: PositiveFloat = 1.0
    regulariser: Regulariser = "weights"
    gamma: float = 0.0
    max_length: Positive = 512
    tokens: Positive = 2048
    seed: int = 0


@dataclass(frozen=True)
class Adapted:
    """What stage II found: the composition, and the objective at uniform weights, at the start and at the end."""

    composition: Composition
    start: float
    end: float
    uniform: float
    references: Mapping[str, float]
    evaluations: int
    seconds: float


def adapt(
    workspace: Workspace,
    name: str,
    sources: Sources,
    skills: Sequence[str] | None = None,
    router: str = "cma-es",
    settings: Mapping[str, str] | None = None,
    composition: str | None = None,
    skip_bad: bool = False,
    data: Mapping[str, Any] | None = None,
) -> Adapted:
    """Learn the weights of the skills for one task and save them as a composition.

    Base, every single skill and uniform are evaluated first and seed the search, so what a search
    finds is never worse than any of them on the adaptation set. Raises BadInput for wrong names or settings,
    and for a split that is kept for testing.
    """
    started = time.perf_counter()
    task = workspace.plugins.get(Task, name)
    declared = workspace.plugins.get(Router, router)
    optimizer, chosen = settings_from(settings or {}, declared.load(), AdaptationSettings)
    made_name = usable(composition or f"{name}-{router}")
    encoder = workspace.encoder(task, chosen.max_length)
    drawn = _adaptation_set(workspace, task, sources, chosen, skip_bad, data)
    examples = encoder.encode_all(drawn, f"'{_split(chosen)}' records of '{name}'")
    bank = bank_of(workspace, skills, chosen.granularity)
    objective = AdaptationObjective(workspace, task, encoder, bank, examples, chosen)
    found = optimizer.search(objective, chosen.seed, workspace.progress)
    references = {reference.name: reference.value for reference in objective.references}
    origin = {
        "task": name,
        "router": router,
        "settings": {**asdict(chosen), **asdict(optimizer)},
        "data": dict(data or {}),
        "records": len(examples),
        "encoding": dict(encoder.counts),
        "objective": found.value,
        "reference": found.name,
    }
    made = new_composition(workspace, made_name, bank, found.weights, origin)
    start = min(references.values())
    seconds = time.perf_counter() - started
    return Adapted(made, start, found.value, references["uniform"], references, objective.evaluations, seconds)


class AdaptationObjective:
    """The loss of a population over the adaptation set, every candidate and record in shared forwards."""

    def __init__(
        self,
        workspace: Workspace,
        task: Task,
        encoder: Encoder,
        bank: SkillBank,
        examples: Sequence[Encoded],
        settings: AdaptationSettings,
    ) -> None:
        self._workspace, self._task, self._encoder, self._bank = workspace, task, encoder, bank
        self._settings = settings
        self.examples = examples
        self.evaluations = 0
        self.space = Space(bank.norms(), settings.temperature, settings.scale)
        self._measure: tuple[Evaluator, bool] | None = None
        if settings.objective != "cross-entropy":
            evaluator = workspace.plugins.get(Evaluator, task.evaluator)
            if settings.objective not in evaluator.metrics:
                known = ", ".join(("cross-entropy", *evaluator.metrics))
                raise BadInput(
                    f"The objective cannot be '{settings.objective}': the task '{task.name}' offers {known}."
                )
            self._measure = (evaluator, evaluator.metrics[settings.objective])
        self.references = self._references()

    def values(self, parameters: torch.Tensor) -> list[float]:
        """Task loss plus regulariser of each candidate, parameters (P, size)."""
        penalty = self.space.penalty(parameters.float(), self._settings.regulariser)
        return self._regularised(self.space.weights(parameters.float()), penalty)

    def at(self, weights: torch.Tensor) -> list[float]:
        """Task loss plus regulariser of weights themselves, (P, *space.norms.shape)."""
        return self._regularised(weights.float(), self._own_penalty(weights.float()))

    def gradient(self, parameters: torch.Tensor, rows: Sequence[int] | None = None) -> tuple[float, torch.Tensor]:
        """Loss and gradient at parameters (size,) over the given examples, or over all of them."""
        if self._measure is not None:
            raise BadInput(
                f"The objective '{self._settings.objective}' has no gradient: use --router cma-es for a metric."
            )
        chosen = self.examples if rows is None else [self.examples[i] for i in rows]
        leaf = parameters.detach().float().requires_grad_(True)
        answers = sum(len(example.answer) for example in chosen)
        total = 0.0
        for indices in budgeted([len(e) for e in chosen], self._settings.tokens // 2):
            batch = collate([chosen[i] for i in indices], self._workspace.base.pad, self._workspace.base.model.device)
            with self._bank.blend(self.space.weights(leaf)):
                loss = answer_loss(self._workspace.base.model, batch, "rows").sum() / answers
                loss.backward()
            total += loss.item()
        extra = self._settings.gamma * self.space.penalty(leaf, self._settings.regulariser)
        extra.backward()
        self.evaluations += 1
        assert leaf.grad is not None
        return total + extra.item(), leaf.grad.detach()

    def candidate(self, parameters: torch.Tensor, value: float) -> Candidate:
        """Parameters that were evaluated, as weights."""
        return Candidate(self.space.weights(parameters.float()).detach(), value)

    def _references(self) -> list[Candidate]:
        """Base, singles and uniform; their losses are kept for the next router on the same records."""
        count, shape = len(self._bank.names), self._bank.shape
        rows = {"base": torch.zeros(count)}
        rows |= {name: torch.eye(count)[i] for i, name in enumerate(self._bank.names)}
        rows["uniform"] = torch.full((count,), 1 / count)
        known = trained_skills(self._workspace, self._workspace.base.name)
        skills = tuple((name, known[name].card["adapter"]) for name in self._bank.names)
        records = tuple((example.prompt, example.answer, example.record.labels) for example in self.examples)
        references = []
        with self._workspace.progress.task("references", len(rows)) as bar:
            for name, row in rows.items():
                weights = row.expand(shape).contiguous()
                key = (self._task.name, self._settings.objective, skills, name, records)
                if key not in self._workspace.losses:
                    self._workspace.losses[key] = self._losses(weights[None])[0]
                value = self._workspace.losses[key] + self._settings.gamma * float(self._own_penalty(weights[None]))
                references.append(Candidate(weights, value, name))
                bar.advance(best=best(references).name)
        return references

    def _own_penalty(self, weights: torch.Tensor) -> torch.Tensor:
        """The regulariser of weights without parameters: they are their own shares, and their a is 0."""
        squared = weights.square().flatten(1).sum(-1)
        return squared if self._settings.regulariser == "weights" else torch.zeros_like(squared)

    def _regularised(self, weights: torch.Tensor, penalty: torch.Tensor) -> list[float]:
        extras = (self._settings.gamma * penalty).tolist()
        return [loss + extra for loss, extra in zip(self._losses(weights), extras, strict=True)]

    @torch.no_grad()
    def _losses(self, weights: torch.Tensor) -> list[float]:
        self.evaluations += len(weights)
        if self._measure is not None:
            return [self._metric(each) for each in weights]
        totals = torch.zeros(len(weights), dtype=torch.float64)
        lengths = [len(e) for e in self.examples for _ in weights]
        for indices in budgeted(lengths, self._settings.tokens):
            pairs = [divmod(i, len(weights)) for i in indices]
            batch = collate(
                [self.examples[e] for e, _ in pairs], self._workspace.base.pad, self._workspace.base.model.device
            )
            which = torch.tensor([c for _, c in pairs])
            with self._bank.blend(weights[which]):
                rows = answer_loss(self._workspace.base.model, batch, "rows")
            totals.index_add_(0, which, rows.double().cpu())
        return (totals / sum(len(e.answer) for e in self.examples)).tolist()

    def _metric(self, weights: torch.Tensor) -> float:
        assert self._measure is not None
        evaluator, higher_is_better = self._measure
        with self._bank.merged(weights):
            predictions = predict(self._workspace, self._task, self._encoder, self.examples)
        value = evaluator.load()(predictions).get(self._settings.objective)
        if value is None:
            raise BadInput(
                f"The objective '{self._settings.objective}' is undefined on these {len(self.examples)} records: "
                "use more shots or another seed, or the cross-entropy."
            )
        return -value if higher_is_better else float(value)


def _adaptation_set(
    workspace: Workspace,
    task: Task,
    sources: Sources,
    chosen: AdaptationSettings,
    skip_bad: bool,
    data: Mapping[str, Any] | None,
) -> list[Record]:
    split = _split(chosen)
    if split == "test":
        raise BadInput(
            f"The router of '{task.name}' cannot be adapted on the test split: its records measure the result."
        )
    size = chosen.shots if chosen.setting == "few-shot" else chosen.limit
    if chosen.setting == "normal" and not size:
        records = workspace.records(task, sources, Conversion(skip_bad), data, chosen.split_policy)
        size = sum(record.split == "test" for record in records)
    records = workspace.records(task, sources, Conversion(skip_bad), data, chosen.split_policy)
    return sample(records, {split: size}, chosen.seed)[split]


def _split(chosen: AdaptationSettings) -> str:
    return chosen.split or ("dev" if chosen.split_policy.startswith("paper") else "train")
