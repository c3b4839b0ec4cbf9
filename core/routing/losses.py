"""The loss of blends on the records of an adaptation set, in shared forwards, none of it computed twice."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, chain
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


class RecordLoss(ABC):
    """A loss that is made of numbers a blend gives to prompts, with a gradient.

    Each number is kept in the cache. `sizes` says how many each prompt is given, and `lengths` how many tokens
    that takes; `tokens` bounds one forward pass, and half of it one backward. `evaluations` counts what was
    computed, in whole adaptation sets; a backward pass counts as one.
    """

    supports_minibatch = True

    def __init__(
        self,
        base: Base,
        bank: SkillBank,
        prompts: Sequence[Encoded],
        sizes: Sequence[int],
        lengths: Sequence[int],
        cache: EvaluationCache,
        tokens: int,
    ) -> None:
        self._base, self._bank, self._prompts, self._cache = base, bank, prompts, cache
        self._lengths, self._tokens = lengths, tokens
        self._places = [range(end - size, end) for end, size in zip(accumulate(sizes), sizes, strict=True)]
        self.evaluations = 0.0

    @abstractmethod
    def loss(self, numbers: torch.Tensor, rows: Sequence[int] | None = None) -> torch.Tensor:
        """The loss over the given examples, or all, of the numbers (..., n) of what `_needed` says, float64 (...)."""

    @abstractmethod
    def _needed(self, rows: Sequence[int] | None) -> Sequence[int]:
        """The prompts whose numbers the loss over the given examples, or all of them, is made of."""

    @abstractmethod
    def _measured(self, prompts: Sequence[int], weights: torch.Tensor) -> list[torch.Tensor]:
        """The numbers of each prompt, in one forward pass of a blend; its weights, (*shape) or (prompts, *shape)."""

    def values(self, weights: torch.Tensor, rows: Sequence[int] | None = None) -> list[float]:
        """The loss of each blend, weights (P, *bank.shape), over the given examples or all of them."""
        needed = self._needed(rows)
        missing = [self._missing(each, needed, rows is None) for each in weights]
        if any(missing):
            self._evaluate(weights, missing)
        values: list[float] = self.loss(torch.stack([self._known(each, needed) for each in weights]), rows).tolist()
        return values

    def gradient(self, weights: torch.Tensor, rows: Sequence[int] | None = None) -> tuple[float, torch.Tensor]:
        """The loss of one blend and its slopes in the weights, both of shape `bank.shape`."""
        key = digest("gradient", weights, self._needed(rows))
        known = self._cache.get(key)
        if not known:
            slopes = self._backward(weights, rows)
            known = dict(enumerate(slopes.flatten().tolist()))
            self._cache.put(key, known)
        [value] = self.values(weights[None], rows)
        return value, torch.tensor([known[place] for place in range(weights.numel())]).reshape(weights.shape)

    @abstractmethod
    def surrogate(self, near: torch.Tensor, seeds: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        """The loss as the evaluations so far predict it, from weights; the blends of `seeds` are among them.

        From now on every evaluation of all the examples improves it.
        """

    def slopes(self, weights: torch.Tensor, rows: Sequence[int] | None) -> torch.Tensor:
        """The slopes of the loss in the numbers it is made of, float64 (n,)."""
        self.values(weights[None], rows)
        leaf = self._known(weights, self._needed(rows)).requires_grad_(True)
        (slopes,) = torch.autograd.grad(self.loss(leaf, rows), leaf)
        return slopes

    def _known(self, weights: torch.Tensor, prompts: Sequence[int]) -> torch.Tensor:
        known = self._cache.get(digest(weights))
        return torch.tensor([known[place] for prompt in prompts for place in self._places[prompt]], dtype=torch.float64)

    def _missing(self, weights: torch.Tensor, needed: Sequence[int], whole: bool) -> Sequence[int]:
        known = self._cache.get(digest(weights))
        return [prompt for prompt in needed if self._places[prompt][0] not in known]

    @torch.no_grad()
    def _evaluate(self, weights: torch.Tensor, prompts: Sequence[Sequence[int]]) -> None:
        """Compute each candidate's numbers for each of its prompts, in the forwards that cost least, and note them."""
        found: list[dict[int, float]] = [{} for _ in prompts]
        for part in self._micro_batches(prompts):
            each = [candidate for _, candidate in part]
            own = weights[each[0]] if len(set(each)) == 1 else weights[each]
            with self._bank.blend(own):
                numbers = self._measured([prompt for prompt, _ in part], own)
            for (prompt, candidate), measured in zip(part, numbers, strict=True):
                found[candidate] |= dict(zip(self._places[prompt], measured.double().tolist(), strict=True))
        self.evaluations += sum(map(len, prompts)) / len(self._prompts)
        for blend, numbers_of in zip(weights, found, strict=True):
            self._note(blend, numbers_of)

    def _note(self, weights: torch.Tensor, numbers: dict[int, float]) -> None:
        known = self._cache.get(digest(weights))
        self._cache.put(digest(weights), {place: each for place, each in numbers.items() if place not in known})

    def _micro_batches(self, prompts: Sequence[Sequence[int]]) -> Iterator[list[tuple[int, int]]]:
        """Pairs of prompt and candidate for each forward: candidates share it unless they are cheaper alone."""
        own = [[(prompt, candidate) for prompt in each] for candidate, each in enumerate(prompts)]
        tokens = sum(self._lengths[prompt] for each in prompts for prompt in each) // max(1, sum(map(bool, prompts)))
        for pairs in own if self._bank.worth_alone(min(tokens, self._tokens)) else [list(chain(*own))]:
            for indices in budgeted([self._lengths[prompt] for prompt, _ in pairs], self._tokens):
                yield [pairs[i] for i in indices]

    def _backward(self, weights: torch.Tensor, rows: Sequence[int] | None) -> torch.Tensor:
        """The slopes of the loss in the weights; the numbers met on the way are noted."""
        leaf = weights.detach().clone().requires_grad_(True)
        needed = self._needed(rows)
        slopes = self.slopes(weights, rows).split([len(self._places[prompt]) for prompt in needed])
        found: dict[int, float] = {}
        for indices in budgeted([self._lengths[prompt] for prompt in needed], self._tokens // 2):
            with self._bank.blend(leaf):
                numbers = self._measured([needed[i] for i in indices], leaf)
                flat = torch.cat(numbers)
                flat.backward(torch.cat([slopes[i] for i in indices]).to(flat))
            for i, each in zip(indices, numbers, strict=True):
                found |= dict(zip(self._places[needed[i]], each.tolist(), strict=True))
        self._note(weights, found)
        self.evaluations += 1
        assert leaf.grad is not None
        return leaf.grad


class AnswerLoss(RecordLoss):
    """The cross-entropy of the answers (eq. 5), in nats per token; an example's number is that of its answer."""

    def __init__(
        self, base: Base, bank: SkillBank, examples: Sequence[Encoded], cache: EvaluationCache, tokens: int
    ) -> None:
        super().__init__(base, bank, examples, [1] * len(examples), [len(e) for e in examples], cache, tokens)
        self._recorder = Recorder(examples, len(bank.names) + 2)

    def loss(self, numbers: torch.Tensor, rows: Sequence[int] | None = None) -> torch.Tensor:
        """Their sum over the answers' tokens."""
        return numbers.sum(-1) / self._answer_tokens(rows)

    def slopes(self, weights: torch.Tensor, rows: Sequence[int] | None) -> torch.Tensor:
        """The same everywhere."""
        return torch.full((len(self._needed(rows)),), 1 / self._answer_tokens(rows), dtype=torch.float64)

    def surrogate(self, near: torch.Tensor, seeds: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        """The cross-entropy of predicted logits."""
        self._recorder.keep_all(seeds)
        for seed in seeds:  # alone, as references are: other rows in a forward would change the last digits
            self.values(seed[None])
        predicted = self._recorder.surrogate.around(near)

        def value(weights: torch.Tensor) -> torch.Tensor:
            logits = predicted(weights)
            return (logits.logsumexp(-1) - logits[:, 0]).mean()

        return value

    def _needed(self, rows: Sequence[int] | None) -> Sequence[int]:
        return range(len(self._prompts)) if rows is None else rows

    def _missing(self, weights: torch.Tensor, needed: Sequence[int], whole: bool) -> Sequence[int]:
        return needed if whole and self._recorder.lacks(weights) else super()._missing(weights, needed, whole)

    def _measured(self, prompts: Sequence[int], weights: torch.Tensor) -> list[torch.Tensor]:
        batch = collate([self._prompts[prompt] for prompt in prompts], self._base.pad, self._base.model.device)
        if torch.is_grad_enabled():
            return list(answer_loss(self._base.model, batch, "rows")[:, None])
        logits = answer_logits(self._base.model, batch)
        alone = weights.dim() == len(self._bank.shape)
        for place, prompt in enumerate(prompts):
            self._recorder.note(weights if alone else weights[place], prompt, logits[place])
        return list(logits_loss(logits, batch, "rows")[:, None])

    def _answer_tokens(self, rows: Sequence[int] | None) -> int:
        return sum(len(self._prompts[row].answer) for row in self._needed(rows))
