"""What a router minimises: the loss of blends over the adaptation set, or a metric, evaluated once each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Literal

import torch

from ..adapters.library import trained_skills
from ..contract.declarations import Evaluator, Task
from ..errors import BadInput
from ..hashing import digest
from ..inference.likelihood import answer_logits, answer_loss, logits_loss
from ..inference.predict import predict
from ..prompts.batching import budgeted, collate
from ..settings import Positive, PositiveFloat
from ..workspace import Workspace
from .cache import EvaluationCache
from .optimizer import Candidate, best
from .surrogate import Surrogate, summary, top_k
from .weights import Regulariser, WeightParameterization

if TYPE_CHECKING:
    from ..adapters.bank import SkillBank
    from ..prompts.encoding import Encoded, Encoder

LOSS = "cross-entropy"


@dataclass(kw_only=True)
class ObjectiveSettings:
    """What is minimised: `objective` is "cross-entropy" (eq. 5, in nats per answer token) or a metric of the
    task's evaluator, `scale` the total of the weights, `gamma` the regulariser's. `tokens` bounds one forward pass,
    and half of it one backward.
    """

    objective: str = LOSS
    scale: Literal["one", "free"] = "one"
    temperature: PositiveFloat = 1.0
    regulariser: Regulariser = "weights"
    gamma: float = 0.0
    tokens: Positive = 2048


class AdaptationObjective:
    """The loss of a population over the adaptation set, every candidate and record in shared forwards.

    Each candidate's loss on each record is kept in the store's journal and never computed twice.
    `evaluations` counts what was computed, in whole adaptation sets; a gradient counts as one.
    """

    def __init__(
        self,
        workspace: Workspace,
        task: Task,
        encoder: Encoder,
        bank: SkillBank,
        examples: Sequence[Encoded],
        settings: ObjectiveSettings,
    ) -> None:
        self._workspace, self._task, self._encoder, self._bank = workspace, task, encoder, bank
        self._base, self._settings = workspace.base, settings
        self.examples = examples
        self.evaluations = 0.0
        self.space = WeightParameterization(bank.norms(), settings.temperature, settings.scale)
        self._measure = self._metric_asked_for()
        self._journal = EvaluationCache(workspace.store.journal(self._base.name, self._identity()))
        self._surrogate, self._tokens = Surrogate(), dict[int, torch.Tensor]()
        self._watching, self._forecasting = True, False
        self.references = self._references()
        self._watching = False

    @property
    def supports_minibatch(self) -> bool:
        """True for the loss, False for a metric."""
        return self._measure is None

    def values(self, parameters: torch.Tensor, rows: Sequence[int] | None = None) -> list[float]:
        """Task loss plus regulariser of each candidate, parameters (P, size)."""
        penalty = self.space.penalty(parameters.float(), self._settings.regulariser)
        return self._regularised(self.space.weights(parameters.float()), penalty, rows)

    def evaluate_weights(self, weights: torch.Tensor) -> list[float]:
        """Task loss plus regulariser of weights themselves, (P, *space.norms.shape)."""
        return self._regularised(weights.float(), self._own_penalty(weights.float()))

    def gradient(self, parameters: torch.Tensor, rows: Sequence[int] | None = None) -> tuple[float, torch.Tensor]:
        """Loss and gradient at parameters (size,) over the given examples, or over all of them."""
        self._needs_loss("gradient")
        chosen = range(len(self.examples)) if rows is None else rows
        leaf = parameters.detach().float().requires_grad_(True)
        space = (self._settings.scale, str(self._settings.temperature), self.space.norms)
        key = digest("gradient", *space, leaf, chosen)
        known = self._journal.get(key)
        if not known:
            loss = self._backward(leaf, chosen)
            assert leaf.grad is not None
            known = dict(enumerate([loss, *leaf.grad.tolist()]))
            self._journal.put(key, known)
        value, *slope = (known[place] for place in range(leaf.numel() + 1))
        leaf.grad = torch.tensor(slope)
        extra = self._settings.gamma * self.space.penalty(leaf, self._settings.regulariser)
        extra.backward()
        return value + extra.item(), leaf.grad.detach()

    def surrogate(self, near: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        """The objective as the evaluations so far foretell it; from now on every evaluation improves it."""
        self._needs_loss("surrogate")
        self._watching = self._forecasting = True
        self._losses(torch.stack([each.weights for each in self.references]), range(len(self.examples)))
        forecast = self._surrogate.around(near)

        def value(parameters: torch.Tensor) -> torch.Tensor:
            logits = forecast(self.space.weights(parameters))
            loss = (logits.logsumexp(-1) - logits[:, 0]).mean()
            return loss + self._settings.gamma * self.space.penalty(parameters, self._settings.regulariser)

        return value

    def candidate(self, parameters: torch.Tensor, value: float) -> Candidate:
        """Parameters that were evaluated, as weights."""
        return Candidate(self.space.weights(parameters.float()).detach(), value)

    def _references(self) -> list[Candidate]:
        """Base, singles and uniform, base first: its likeliest tokens are those the surrogate watches."""
        count, shape = len(self._bank.names), self._bank.shape
        rows = {"base": torch.zeros(count)}
        rows |= {name: torch.eye(count)[i] for i, name in enumerate(self._bank.names)}
        rows["uniform"] = torch.full((count,), 1 / count)
        references: list[Candidate] = []
        with self._workspace.progress.task("references", len(rows)) as bar:
            for name, row in rows.items():
                weights = row.expand(shape).contiguous()
                references.append(Candidate(weights, self.evaluate_weights(weights[None])[0], name))
                bar.advance(best=best(references).name)
        return references

    def _own_penalty(self, weights: torch.Tensor) -> torch.Tensor:
        """The regulariser of weights without parameters: they are their own shares, and their a is 0."""
        squared = weights.square().flatten(1).sum(-1)
        return squared if self._settings.regulariser == "weights" else torch.zeros_like(squared)

    def _regularised(
        self, weights: torch.Tensor, penalty: torch.Tensor, rows: Sequence[int] | None = None
    ) -> list[float]:
        if self._measure is None:
            losses = self._losses(weights, range(len(self.examples)) if rows is None else rows)
        else:
            if rows is not None:
                raise BadInput(f"The objective '{self._settings.objective}' is a metric of the whole adaptation set.")
            losses = [self._metric(each) for each in weights]
        extras = (self._settings.gamma * penalty).tolist()
        return [loss + extra for loss, extra in zip(losses, extras, strict=True)]

    def _losses(self, weights: torch.Tensor, rows: Sequence[int]) -> list[float]:
        """Nats per answer token over the rows; what the journal lacks is computed, or the surrogate lacks."""
        missing = [[row for row in rows if self._lacking(each, row, len(rows))] for each in weights]
        if any(missing):
            self._evaluate(weights, missing)
        answers = sum(len(self.examples[row].answer) for row in rows)
        return [sum(self._journal.get(digest(each))[row] for row in rows) / answers for each in weights]

    def _lacking(self, weights: torch.Tensor, row: int, rows: int) -> bool:
        whole = rows == len(self.examples)
        if self._forecasting and whole and not self._surrogate.knows(weights):
            return True
        return row not in self._journal.get(digest(weights))

    @torch.no_grad()
    def _evaluate(self, weights: torch.Tensor, rows: Sequence[Sequence[int]]) -> None:
        """Compute each candidate's loss on each of its rows, in the forwards that cost least, and note them."""
        found: list[dict[int, float]] = [{} for _ in rows]
        summaries: list[dict[int, torch.Tensor]] = [{} for _ in rows]
        for part in self._micro_batches(rows):
            batch = collate([self.examples[row] for row, _ in part], self._base.pad, self._base.model.device)
            each = [candidate for _, candidate in part]
            with self._bank.blend(weights[each[0]] if len(set(each)) == 1 else weights[each]):
                logits = answer_logits(self._base.model, batch)
            losses = logits_loss(logits, batch, "rows").double().tolist()
            for place, ((row, candidate), loss) in enumerate(zip(part, losses, strict=True)):
                found[candidate][row] = loss
                if self._watching:
                    summaries[candidate][row] = self._summary(row, logits[place])
        self.evaluations += sum(map(len, rows)) / len(self.examples)
        for each, own, seen in zip(weights, found, summaries, strict=True):
            known = self._journal.get(digest(each))
            self._journal.put(digest(each), {row: loss for row, loss in own.items() if row not in known})
            if self._watching and len(seen) == len(self.examples):
                self._surrogate.note(each, torch.cat([seen[row] for row in range(len(seen))]))

    def _micro_batches(self, rows: Sequence[Sequence[int]]) -> Iterator[list[tuple[int, int]]]:
        """Pairs of row and candidate for each forward: candidates share it unless they are cheaper alone."""
        own = [[(row, candidate) for row in each] for candidate, each in enumerate(rows)]
        tokens = sum(len(self.examples[row]) for each in rows for row in each) // max(1, sum(map(bool, rows)))
        budget = self._settings.tokens
        for pairs in own if self._bank.worth_alone(min(tokens, budget)) else [list(chain(*own))]:
            for indices in budgeted([len(self.examples[row]) for row, _ in pairs], budget):
                yield [pairs[i] for i in indices]

    def _summary(self, row: int, logits: torch.Tensor) -> torch.Tensor:
        """What the surrogate keeps of a record's logits (keep, vocabulary)."""
        answer = self.examples[row].answer
        logits = logits[-len(answer) :]
        if row not in self._tokens:
            self._tokens[row] = top_k(logits, torch.tensor(answer, device=logits.device))
        return summary(logits, self._tokens[row])

    def _backward(self, leaf: torch.Tensor, rows: Sequence[int]) -> float:
        """The loss over the rows at parameters that take its gradient."""
        chosen = [self.examples[row] for row in rows]
        answers = sum(len(example.answer) for example in chosen)
        total = 0.0
        for indices in budgeted([len(e) for e in chosen], self._settings.tokens // 2):
            batch = collate([chosen[i] for i in indices], self._base.pad, self._base.model.device)
            with self._bank.blend(self.space.weights(leaf)):
                loss = answer_loss(self._base.model, batch, "rows").sum() / answers
                loss.backward()
            total += loss.item()
        self.evaluations += 1
        return total

    def _metric(self, weights: torch.Tensor) -> float:
        assert self._measure is not None
        evaluator, higher_is_better = self._measure
        if known := self._journal.get(digest(weights)):
            return known[0]
        with self._bank.merged(weights), torch.no_grad():
            predictions = predict(self._workspace, self._task, self._encoder, self.examples)
        value = evaluator.load()(predictions).get(self._settings.objective)
        if value is None:
            raise BadInput(
                f"The objective '{self._settings.objective}' is undefined on these {len(self.examples)} records: "
                "use more shots or another seed, or the cross-entropy."
            )
        self.evaluations += 1
        self._journal.put(digest(weights), {0: -value if higher_is_better else float(value)})
        return self._journal.get(digest(weights))[0]

    def _metric_asked_for(self) -> tuple[Evaluator, bool] | None:
        if self._settings.objective == LOSS:
            return None
        evaluator = self._workspace.plugins.get(Evaluator, self._task.evaluator)
        if self._settings.objective not in evaluator.metrics:
            known = ", ".join((LOSS, *evaluator.metrics))
            raise BadInput(
                f"The objective cannot be '{self._settings.objective}': the task '{self._task.name}' offers {known}."
            )
        return evaluator, evaluator.metrics[self._settings.objective]

    def _needs_loss(self, what: str) -> None:
        if self._measure is not None:
            raise BadInput(
                f"The objective '{self._settings.objective}' has no {what}: use --router cma-es for a metric."
            )

    def _identity(self) -> str:
        """Of everything that a value depends on beside its weights."""
        known = trained_skills(self._workspace, self._base.name)
        skills = [f"{name}:{known[name].card['adapter']}" for name in self._bank.names]
        texts = [part for each in self.examples for part in (each.prompt, each.answer, *each.options)]
        base = (self._base.fingerprint, str(self._base.model.dtype), self._base.model.device.type)
        return digest(*base, self._settings.objective, self._task.name, *skills, *texts)
