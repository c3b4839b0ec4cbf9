"""How a task's own few records are fitted, and for how many steps."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import BadInput
from ..settings import Positive, PositiveFloat, Settings

AUTO, NONE = "auto", "none"


@dataclass(kw_only=True)
class TuneSettings(Settings):
    """AdamW at a constant rate on `batch_size` records a step, clipped; a run of fewer steps begins one of more.

    `steps` None means as many as do best on records that were held out: the records are dealt into `folds`, and
    0 steps and every `every`th up to `most` are tried.
    """

    steps: int | None = None
    learning_rate: PositiveFloat = 1e-3
    batch_size: Positive = 16
    folds: Positive = 4
    most: Positive = 16
    every: Positive = 4
    max_grad_norm: PositiveFloat = 1.0


def tune_steps(text: str) -> int | None:
    """The steps that `--tune` asks for: 0 for "none", None for "auto". Raises BadInput for what is no number."""
    if text in (AUTO, NONE):
        return None if text == AUTO else 0
    if not text.isdecimal():
        raise BadInput(f"The setting tune cannot be '{text}': give a number of steps, {AUTO} or {NONE}.")
    return int(text)
