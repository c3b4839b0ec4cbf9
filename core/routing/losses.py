"""The loss of blends on the records of an adaptation set, in shared forwards, none of it computed twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

import torch

from ..hashing import digest
from ..inference.likelihood import answer_logits, answer_loss, logits_loss
from ..prompts.batching import budgeted, collate
from .surrogate import Recorder

if TYPE_CHECKING:
    from ..adapters.bank import SkillBank
    from ..models.base import Base
    from ..prompts.encoding import Encoded
    from .cache import EvaluationCache


class AnswerLoss:
    """The cross-entropy of the answers (eq. 5), in nats per token: a sum over records, with a gradient.

    Each blend's loss on each record is kept in the cache. `tokens` bounds one forward pass, and half of it
    one backward. `evaluations` counts what was computed, in whole adaptation sets; a gradient counts as one.
    """

    supports_minibatch = True

    def __init__(
        self, base: Base, bank: SkillBank, examples: Sequence[Encoded], cache: EvaluationCache, tokens: int
    ) -> None:
        self._base, self._bank, self._examples, self._cache = base, bank, examples, cache
        self._tokens = tokens
        self._recorder = Recorder(examples, len(bank.names) + 2)
        self.evaluations = 0.0

    def values(self, weights: torch.Tensor, rows: Sequence[int] | None = None) -> list[float]:
        """The loss of each blend, weights (P, *bank.shape), over the given examples or all of them."""
        chosen = range(len(self._examples)) if rows is None else rows
        missing = [[row for row in chosen if self._lacking(each, row, rows is None)] for each in weights]
        if any(missing):
            self._evaluate(weights, missing)
        answers = self._answer_tokens(chosen)
        return [sum(self._cache.get(digest(each))[row] for row in chosen) / answers for each in weights]

    def gradient(self, weights: torch.Tensor, rows: Sequence[int] | None = None) -> tuple[float, torch.Tensor]:
        """The loss of one blend and its slopes in the weights, both of shape `bank.shape`."""
        chosen = range(len(self._examples)) if rows is None else rows
        key = digest("gradient", weights, chosen)
        known = self._cache.get(key)
        if not known:
            leaf = weights.detach().clone().requires_grad_(True)
            loss = self._backward(leaf, chosen)
            assert leaf.grad is not None
            known = dict(enumerate([loss, *leaf.grad.flatten().tolist()]))
            self._cache.put(key, known)
        value, *slopes = (known[place] for place in range(weights.numel() + 1))
        return value, torch.tensor(slopes).reshape(weights.shape)

    def surrogate(self, near: torch.Tensor, seeds: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        """The loss as the evaluations so far predict it, from weights; the blends of `seeds` are among them.

        From now on every evaluation of all the examples improves it.
        """
        self._recorder.keep_all()
        self.values(seeds)
        predicted = self._recorder.surrogate.around(near)

        def value(weights: torch.Tensor) -> torch.Tensor:
            logits = predicted(weights)
            return (logits.logsumexp(-1) - logits[:, 0]).mean()

        return value

    def _lacking(self, weights: torch.Tensor, row: int, whole: bool) -> bool:
        return (whole and self._recorder.lacks(weights)) or row not in self._cache.get(digest(weights))

    @torch.no_grad()
    def _evaluate(self, weights: torch.Tensor, rows: Sequence[Sequence[int]]) -> None:
        """Compute each candidate's loss on each of its rows, in the forwards that cost least, and note them."""
        found: list[dict[int, float]] = [{} for _ in rows]
        for part in self._micro_batches(rows):
            batch = collate([self._examples[row] for row, _ in part], self._base.pad, self._base.model.device)
            each = [candidate for _, candidate in part]
            with self._bank.blend(weights[each[0]] if len(set(each)) == 1 else weights[each]):
                logits = answer_logits(self._base.model, batch)
            losses = logits_loss(logits, batch, "rows").double().tolist()
            for place, ((row, candidate), loss) in enumerate(zip(part, losses, strict=True)):
                found[candidate][row] = loss
                self._recorder.note(weights[candidate], row, logits[place])
        self.evaluations += sum(map(len, rows)) / len(self._examples)
        for each, own in zip(weights, found, strict=True):
            known = self._cache.get(digest(each))
            self._cache.put(digest(each), {row: loss for row, loss in own.items() if row not in known})

    def _micro_batches(self, rows: Sequence[Sequence[int]]) -> Iterator[list[tuple[int, int]]]:
        """Pairs of row and candidate for each forward: candidates share it unless they are cheaper alone."""
        own = [[(row, candidate) for row in each] for candidate, each in enumerate(rows)]
        tokens = sum(len(self._examples[row]) for each in rows for row in each) // max(1, sum(map(bool, rows)))
        for pairs in own if self._bank.worth_alone(min(tokens, self._tokens)) else [list(chain(*own))]:
            for indices in budgeted([len(self._examples[row]) for row, _ in pairs], self._tokens):
                yield [pairs[i] for i in indices]

    def _backward(self, leaf: torch.Tensor, rows: Sequence[int]) -> float:
        """The loss over the rows at weights that take its gradient."""
        chosen = [self._examples[row] for row in rows]
        answers = self._answer_tokens(rows)
        total = 0.0
        for indices in budgeted([len(e) for e in chosen], self._tokens // 2):
            batch = collate([chosen[i] for i in indices], self._base.pad, self._base.model.device)
            with self._bank.blend(leaf):
                loss = answer_loss(self._base.model, batch, "rows").sum() / answers
                loss.backward()
            total += loss.item()
        self.evaluations += 1
        return total

    def _answer_tokens(self, rows: Sequence[int]) -> int:
        return sum(len(self._examples[row].answer) for row in rows)
