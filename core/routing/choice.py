"""How well a blend tells the right options from the others, by the likelihoods that an evaluation scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from ..contract.declarations import PromptedSpec
from ..errors import BadInput
from ..hashing import digest
from ..inference.calibration import choice_loss, temperature
from ..inference.scoring import option_characters, option_likelihoods, option_tokens, tries_fit, without_contexts
from .losses import RecordLoss
from .surrogate import Surrogate

if TYPE_CHECKING:
    from ..adapters.bank import SkillBank
    from ..models.base import Base
    from ..prompts.encoding import Encoded, Encoder
    from .cache import EvaluationCache


@dataclass(frozen=True)
class Choices:
    """The examples whose options are told apart, and how their log-likelihoods become scores.

    `bare` holds for each example its question without context where the normaliser is `pmi`, else nothing;
    `lengths` what each option's log-likelihood is divided by. With `multi_label` labels do not compete.
    """

    examples: Sequence[Encoded]
    bare: Sequence[Encoded]
    lengths: Sequence[Sequence[int]]
    multi_label: bool
    all: Sequence[Encoded] = field(init=False)

    def __post_init__(self) -> None:
        distinct = {(each.prompt, each.options): each for each in self.bare}
        object.__setattr__(self, "all", [*self.examples, *distinct.values()])

    @classmethod
    def of(cls, declared: PromptedSpec, encoder: Encoder, examples: Sequence[Encoded]) -> Choices:
        """As an evaluation of the task scores them; a record with several right labels, or none, makes all multi-label.

        Raises BadInput where options cannot share a pass.
        """
        if not tries_fit(encoder.base, examples):
            raise BadInput(
                f"Some prompts are longer than the attention window of '{encoder.base.name}', where the options of a "
                "record cannot share a pass: lower max_length, or use --objective cross-entropy."
            )
        normaliser = declared.normaliser
        if normaliser == "character":
            lengths = [option_characters(encoder, example) for example in examples]
        else:
            lengths = [tuple(map(len, example.options)) for example in examples]
        if normaliser in ("sum", "pmi"):
            lengths = [(1,) * len(each) for each in lengths]
        multi_label = declared.multi_label or any(len(example.record.labels) != 1 for example in examples)
        bare = without_contexts(encoder, examples) if normaliser == "pmi" else []
        return cls(examples, bare, lengths, multi_label)

    @property
    def signature(self) -> str:
        """What the loss depends on beside the options' log-likelihoods."""
        labels = [example.record.labels for example in self.examples]
        return digest("choice", str(self.multi_label), str(bool(self.bare)), str(self.lengths), str(labels))


class ChoiceLoss(RecordLoss):
    """The cross-entropy of the right options, or labels, by their normalised log-likelihoods at the best temperature.

    It is `choice_loss` of the scores of `scoring.normalised` before their softmax, in nats of an option of mean
    length. The numbers of a prompt are its options' log-likelihoods.
    """

    def __init__(self, base: Base, bank: SkillBank, choices: Choices, cache: EvaluationCache, tokens: int) -> None:
        sizes = [len(each.options) for each in choices.all]
        super().__init__(base, bank, choices.all, sizes, [option_tokens(each) for each in choices.all], cache, tokens)
        places = {(each.prompt, each.options): place for place, each in enumerate(choices.all)}
        self._bare = [places[each.prompt, each.options] for each in choices.bare]
        self._count, self._multi_label = len(choices.examples), choices.multi_label
        counts = torch.tensor(sizes[: self._count])
        self._listed = torch.arange(int(counts.max())) < counts[:, None]
        self._right, self._scale = torch.zeros_like(self._listed), torch.ones(self._listed.shape, dtype=torch.float64)
        lengths = torch.tensor([max(1, length) for each in choices.lengths for length in each], dtype=torch.float64)
        self._scale[self._listed] = lengths.mean() / lengths
        records = [example.record for example in choices.examples]
        self._right[self._listed] = torch.tensor([o in record.labels for record in records for o in record.options])
        self._surrogate = Surrogate()

    def loss(self, numbers: torch.Tensor, rows: Sequence[int] | None = None) -> torch.Tensor:
        """`choice_loss` of the scores that the options' log-likelihoods are."""
        return choice_loss(*self._scores(numbers, rows), self._multi_label)

    def temperatures(self, weights: torch.Tensor) -> list[float]:
        """The temperature that is best for each blend, on all examples."""
        self.values(weights)
        numbers = torch.stack([self._known(each, self._needed(None)) for each in weights])
        found: list[float] = temperature(*self._scores(numbers, None), self._multi_label).tolist()
        return found

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
        if rows is None:
            return range(len(self._prompts))
        return [*rows, *dict.fromkeys(self._bare[row] for row in rows)] if self._bare else rows

    def _measured(self, prompts: Sequence[int], weights: torch.Tensor) -> list[torch.Tensor]:
        return option_likelihoods(self._base, [self._prompts[prompt] for prompt in prompts])

    def _scores(
        self, numbers: torch.Tensor, rows: Sequence[int] | None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Scores (..., records, options), and which options are right, and listed, from the needed numbers."""
        chosen = list(range(self._count) if rows is None else rows)
        starts, place = {}, 0
        for prompt in self._needed(rows):
            starts[prompt], place = place, place + len(self._places[prompt])
        listed = self._listed[chosen]
        columns = torch.arange(listed.shape[1]) * listed

        def of(prompts: Sequence[int]) -> torch.Tensor:
            return numbers[..., torch.tensor([starts[prompt] for prompt in prompts])[:, None] + columns]

        scores = of(chosen) - of([self._bare[row] for row in chosen]) if self._bare else of(chosen)
        return scores * self._scale[chosen], self._right[chosen], listed
