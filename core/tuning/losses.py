"""The loss of a model, as it stands, on a task's few records, with a gradient to whatever in it takes one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import torch

from ..contract.declarations import PromptedSpec
from ..inference.likelihood import answer_loss
from ..inference.scoring import option_likelihoods, option_tokens
from ..models.base import Base
from ..prompts.batching import budgeted, collate
from ..prompts.encoding import Encoded, Encoder
from .choices import Choices


class ShotsLoss(ABC):
    """A loss that is made of numbers a model gives to prompts.

    `examples` are what it is of, and `name` the objective; `tokens` bounds one forward pass, and half of it one
    backward. What is asked for by rows is the loss over these examples alone.
    """

    name: str

    def __init__(self, examples: Sequence[Encoded], tokens: int) -> None:
        self.examples, self._tokens = examples, tokens

    @abstractmethod
    def _needed(self, rows: Sequence[int]) -> Sequence[Encoded]:
        """The prompts whose numbers the loss over the given examples is made of."""

    @abstractmethod
    def _length(self, prompt: Encoded) -> int:
        """How many tokens a prompt's numbers take."""

    @abstractmethod
    def _measured(self, base: Base, prompts: Sequence[Encoded]) -> list[torch.Tensor]:
        """The numbers of each prompt, in one forward pass."""

    @abstractmethod
    def _loss(self, numbers: torch.Tensor, rows: Sequence[int]) -> torch.Tensor:
        """The loss, a scalar, of the numbers (n,) of the needed prompts, float64."""

    @torch.no_grad()
    def value(self, base: Base, rows: Sequence[int] | None = None) -> float:
        """The loss over the given examples, or all of them."""
        chosen = range(len(self.examples)) if rows is None else rows
        return float(self._loss(torch.cat(self._numbers(base, self._needed(chosen))).double(), chosen))

    def backward(self, base: Base, rows: Sequence[int]) -> float:
        """The same; its gradient is added to that of every parameter that takes one.

        The loss may not be a sum over records, so its slopes in the numbers come first, from a pass without gradient
        where one pass with it would not hold them all.
        """
        needed = self._needed(rows)
        parts = list(self._parts(needed, self._tokens // 2))
        if len(parts) == 1:
            loss = self._loss(torch.cat(self._measured(base, needed)).double().cpu(), rows)
            loss.backward()
            return loss.item()
        with torch.no_grad():
            numbers = self._numbers(base, needed)
        leaf = torch.cat(numbers).double().requires_grad_(True)
        loss = self._loss(leaf, rows)
        (whole,) = torch.autograd.grad(loss, leaf)
        slopes = whole.split([len(each) for each in numbers])
        for part in parts:
            found = torch.cat(self._measured(base, [needed[i] for i in part]))
            found.backward(torch.cat([slopes[i] for i in part]).to(found))
        return loss.item()

    def _numbers(self, base: Base, prompts: Sequence[Encoded]) -> list[torch.Tensor]:
        found: dict[int, torch.Tensor] = {}
        for part in self._parts(prompts, self._tokens):
            found |= zip(part, self._measured(base, [prompts[i] for i in part]), strict=True)
        return [found[i].cpu() for i in range(len(prompts))]

    def _parts(self, prompts: Sequence[Encoded], tokens: int) -> Iterator[list[int]]:
        return budgeted([self._length(prompt) for prompt in prompts], tokens)


class OptionLoss(ShotsLoss):
    """`Choices.loss`: the cross-entropy of the right options among those listed."""

    name = "choice"

    def __init__(self, choices: Choices, tokens: int) -> None:
        super().__init__(choices.examples, tokens)
        self._choices = choices

    def _needed(self, rows: Sequence[int]) -> Sequence[Encoded]:
        return [self._choices.prompts[place] for place in self._choices.needed(rows)]

    def _length(self, prompt: Encoded) -> int:
        return option_tokens(prompt)

    def _measured(self, base: Base, prompts: Sequence[Encoded]) -> list[torch.Tensor]:
        return option_likelihoods(base, prompts)

    def _loss(self, numbers: torch.Tensor, rows: Sequence[int]) -> torch.Tensor:
        return self._choices.loss(numbers, rows)


class AnswersLoss(ShotsLoss):
    """The cross-entropy of the answers (SA-MDKIF eq. 5), in nats per token."""

    name = "cross-entropy"

    def _needed(self, rows: Sequence[int]) -> Sequence[Encoded]:
        return [self.examples[row] for row in rows]

    def _length(self, prompt: Encoded) -> int:
        return len(prompt)

    def _measured(self, base: Base, prompts: Sequence[Encoded]) -> list[torch.Tensor]:
        return list(answer_loss(base.model, collate(prompts, base.pad, base.model.device), "rows")[:, None])

    def _loss(self, numbers: torch.Tensor, rows: Sequence[int]) -> torch.Tensor:
        return numbers.sum() / sum(len(self.examples[row].answer) for row in rows)


def shots_loss(
    declared: PromptedSpec, encoder: Encoder, examples: Sequence[Encoded], objective: str = "auto", tokens: int = 2048
) -> ShotsLoss:
    """The loss of a task's examples by the name of an objective.

    "choice" is `OptionLoss` and anything else `AnswersLoss`; "auto" is the first where all examples list options.
    """
    listed = all(example.options for example in examples)
    if listed and objective != AnswersLoss.name:
        return OptionLoss(Choices.of(declared, encoder, examples), tokens)
    return AnswersLoss(examples, tokens)
