"""How well a blend tells the right options from the others, none of it computed twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

from ..inference.scoring import option_likelihoods, option_tokens
from ..tuning.choices import Choices
from .losses import RecordLoss
from .surrogate import Surrogate

if TYPE_CHECKING:
    from ..adapters.bank import SkillBank
    from ..models.base import Base
    from .cache import EvaluationCache


class ChoiceLoss(RecordLoss):
    """The loss of `Choices`. The numbers of a prompt are its options' log-likelihoods."""

    def __init__(self, base: Base, bank: SkillBank, choices: Choices, cache: EvaluationCache, tokens: int) -> None:
        lengths = [option_tokens(each) for each in choices.prompts]
        super().__init__(base, bank, choices.prompts, list(map(len, choices.places)), lengths, cache, tokens)
        self._choices = choices
        self._surrogate = Surrogate()

    def loss(self, numbers: torch.Tensor, rows: Sequence[int] | None = None) -> torch.Tensor:
        """`Choices.loss`."""
        return self._choices.loss(numbers, rows)

    def temperatures(self, weights: torch.Tensor) -> list[float]:
        """The temperature that is best for each blend, on all examples."""
        self.values(weights)
        return self._choices.temperatures(torch.stack([self._known(each, self._needed(None)) for each in weights]))

    def values(self, weights: torch.Tensor, rows: Sequence[int] | None = None) -> list[float]:
        """The loss of each blend, weights (P, *bank.shape), over the given examples or all of them."""
        values = super().values(weights, rows)
        for each in weights if rows is None else ():
            if not self._surrogate.knows(each):
                self._surrogate.note(each, self._known(each, self._needed(None))[:, None])
        return values

    def surrogate(self, near: torch.Tensor, seeds: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        """The loss of predicted log-likelihoods, of which softmax ignores what all options have in common."""
        self.values(seeds)
        predicted = self._surrogate.around(near)
        return lambda weights: self.loss(predicted(weights)[:, 0]).float()

    def _needed(self, rows: Sequence[int] | None) -> Sequence[int]:
        return self._choices.needed(rows)

    def _measured(self, prompts: Sequence[int], weights: torch.Tensor) -> list[torch.Tensor]:
        return option_likelihoods(self._base, [self._prompts[prompt] for prompt in prompts])
