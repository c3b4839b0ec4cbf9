"""How a task is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..contract.declarations import Normaliser, Read
from ..data.learnt import Overlap
from ..inference.predict import Mode
from ..settings import Positive, Settings, explained


@dataclass(kw_only=True)
class EvaluateSettings(Settings):
    """How a task is measured.

    `limit` draws that many of the `split`'s records by `seed`, 0 takes all. `split_policy` must be the one a target
    was made under. Records that a target learnt from are refused, left out for every target, or kept, by `overlap`.
    `answer`, `normaliser` and `read` are those of `Answering`; `normaliser` takes the place of the task's own.
    Baselines learn from the adaptation set of `shots` records, or for 0 from all training records, drawn by
    `shots_seed` or `seed`.
    """

    limit: int = explained(0, "records that are drawn; 0 takes all")
    seed: int = explained(0, "the draw of records")
    split: Literal["train", "dev", "adapt", "test"] = explained("test", "the records to measure on")
    split_policy: str = explained("official", "who learns from what: official, 8:2, paper or paper:SEED")
    answer: Mode = explained("score", "score every listed label, or extract labels as the papers do (span)")
    normaliser: Normaliser | None = explained(None, "what makes label scores comparable; by default the task's own")
    read: Read = explained("all", "how much of a generated answer counts: all of it, or its first-line")
    max_length: Positive = explained(512, "tokens of prompt and answer; longer contexts are cut")
    overlap: Overlap = explained("refuse", "what becomes of records that were learnt from before")
    shots: int = explained(0, "records that baselines learn from, those of `adapt`; 0 means all for training")
    shots_seed: int | None = explained(None, "the draw of these, and what baselines draw; by default `seed`")

    @property
    def learning_seed(self) -> int:
        """The seed of what baselines learn from."""
        return self.seed if self.shots_seed is None else self.shots_seed
