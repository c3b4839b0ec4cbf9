"""How well a model tells the right options from the others, by the likelihoods that an evaluation scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING

import torch

from ..contract.declarations import PromptedSpec
from ..errors import BadInput
from ..hashing import digest
from ..inference.calibration import choice_loss, temperature
from ..inference.scoring import option_characters, tries_fit, without_contexts

if TYPE_CHECKING:
    from ..prompts.encoding import Encoded, Encoder

Scores = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Scores (..., records, options), and which options are right, and listed, bool (records, options)."""


@dataclass(frozen=True)
class Choices:
    """The examples whose options are told apart, and how their log-likelihoods become scores, and a loss.

    `bare` holds for each example its question without context where the normaliser is `pmi`, else nothing;
    `lengths` what each option's log-likelihood is divided by. With `multi_label` labels do not compete. The numbers
    of a prompt are its options' log-likelihoods.
    """

    examples: Sequence[Encoded]
    bare: Sequence[Encoded]
    lengths: Sequence[Sequence[int]]
    multi_label: bool

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

    @cached_property
    def prompts(self) -> list[Encoded]:
        """The examples, then every question without context, once."""
        return [*self.examples, *{(each.prompt, each.options): each for each in self.bare}.values()]

    def needed(self, rows: Sequence[int] | None = None) -> Sequence[int]:
        """The prompts whose numbers the loss over the given examples, or all of them, is made of."""
        if rows is None:
            return range(len(self.prompts))
        return [*rows, *dict.fromkeys(self._bare_places[row] for row in rows)] if self.bare else rows

    def loss(self, numbers: torch.Tensor, rows: Sequence[int] | None = None) -> torch.Tensor:
        """The cross-entropy of the right options, or labels, at the best temperature: float64 (...).

        It is `choice_loss` of the scores of `scoring.normalised` before their softmax, in nats of an option of mean
        length, made of the numbers (..., n) of the prompts that are `needed`.
        """
        return choice_loss(*self._scores(numbers, rows), self.multi_label)

    def temperatures(self, numbers: torch.Tensor) -> list[float]:
        """The temperature that is best for each leading place of the numbers of all prompts."""
        found: list[float] = temperature(*self._scores(numbers, None), self.multi_label).tolist()
        return found

    @cached_property
    def places(self) -> list[range]:
        """Where the numbers of each prompt stand among those of all."""
        sizes = [len(each.options) for each in self.prompts]
        return [range(end - size, end) for end, size in zip(accumulate(sizes), sizes, strict=True)]

    @cached_property
    def _bare_places(self) -> list[int]:
        found = {(each.prompt, each.options): place for place, each in enumerate(self.prompts)}
        return [found[each.prompt, each.options] for each in self.bare]

    @cached_property
    def _table(self) -> Scores:
        """What the log-likelihoods are multiplied by, which options are right, and which are listed."""
        counts = torch.tensor([len(example.options) for example in self.examples])
        listed = torch.arange(int(counts.max())) < counts[:, None]
        right, scale = torch.zeros_like(listed), torch.ones(listed.shape, dtype=torch.float64)
        lengths = torch.tensor([max(1, length) for each in self.lengths for length in each], dtype=torch.float64)
        scale[listed] = lengths.mean() / lengths
        records = [example.record for example in self.examples]
        right[listed] = torch.tensor([o in record.labels for record in records for o in record.options])
        return scale, right, listed

    def _scores(self, numbers: torch.Tensor, rows: Sequence[int] | None) -> Scores:
        chosen = list(range(len(self.examples)) if rows is None else rows)
        starts, place = {}, 0
        for prompt in self.needed(rows):
            starts[prompt], place = place, place + len(self.places[prompt])
        scale, right, listed = (each[chosen] for each in self._table)
        columns = torch.arange(listed.shape[1]) * listed

        def of(prompts: Sequence[int]) -> torch.Tensor:
            return numbers[..., torch.tensor([starts[prompt] for prompt in prompts])[:, None] + columns]

        scores = of(chosen) - of([self._bare_places[row] for row in chosen]) if self.bare else of(chosen)
        return scores * scale, right, listed
