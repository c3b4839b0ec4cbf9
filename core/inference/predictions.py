"""What a model answered, beside what is right: the input of every evaluator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..contract.declarations import Evaluator


@dataclass(frozen=True, kw_only=True)
class Likelihoods:
    """How likely each of a record's options is after its prompt, before any normaliser: one number per option.

    `sums` is log p(option | prompt) in nats, over the option's `tokens`; `characters` are those of its
    text as the template writes it. `unconditional` is the sum after the same prompt without its context,
    and empty where no normaliser asks for it.
    """

    sums: tuple[float, ...]
    tokens: tuple[int, ...]
    characters: tuple[int, ...]
    unconditional: tuple[float, ...] = ()

    @property
    def token_means(self) -> tuple[float, ...]:
        """log p per token."""
        return tuple(total / max(1, count) for total, count in zip(self.sums, self.tokens, strict=True))

    @property
    def character_means(self) -> tuple[float, ...]:
        """log p per character (lm-eval's acc_norm)."""
        return tuple(total / max(1, count) for total, count in zip(self.sums, self.characters, strict=True))

    @property
    def pmi(self) -> tuple[float, ...]:
        """Pointwise mutual information of option and context. Raises ValueError if `unconditional` was not measured."""
        return tuple(total - bare for total, bare in zip(self.sums, self.unconditional, strict=True))


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One record's gold labels and answer, and what was predicted for it.

    `scores` has one number per option: higher is likelier, and they are comparable across records;
    it is empty where labels were extracted, and then `labels` are those. `likelihoods` is what the scores
    were made of. `text` is the generated answer or, for closed labels, the best option. With `multi_label`
    any number of the options may be right.

    Raises ValueError if there are scores, but not one for each option.
    """

    id: str
    gold: tuple[str, ...]
    answer: str
    options: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    likelihoods: Likelihoods | None = None
    labels: tuple[str, ...] = ()
    text: str = ""
    multi_label: bool = False

    def __post_init__(self) -> None:
        if self.scores and len(self.scores) != len(self.options):
            raise ValueError(f"prediction {self.id}: {len(self.scores)} scores for {len(self.options)} options")


def metrics_of(
    evaluator: Evaluator, predictions: Sequence[Prediction], calibration: Sequence[Prediction] = ()
) -> dict[str, float]:
    """The evaluator's metrics, with thresholds set by the predictions of `calibration` where it has any."""
    measure = evaluator.load()
    found: dict[str, float] = measure(predictions, calibration) if evaluator.calibrates else measure(predictions)
    return found
