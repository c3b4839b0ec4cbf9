"""What a model answered, beside what is right: the input of every evaluator."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One record's gold labels and answer, and what was predicted for it.

    `scores` has one number per option: higher is likelier, and they are comparable across records;
    it is empty where labels were extracted, and then `labels` are those. `text` is the generated answer
    or, for closed labels, the best option. With `multi_label` any number of the options may be right.

    Raises ValueError if there are scores, but not one for each option.
    """

    id: str
    gold: tuple[str, ...]
    answer: str
    options: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()
    text: str = ""
    multi_label: bool = False

    def __post_init__(self) -> None:
        if self.scores and len(self.scores) != len(self.options):
            raise ValueError(f"prediction {self.id}: {len(self.scores)} scores for {len(self.options)} options")
