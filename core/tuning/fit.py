"""Few-shot tuning: a few steps on a few records, as many as do best on records that were held out."""

from __future__ import annotations

import math
import random
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch

from ..errors import BadInput, MdkifError
from ..models.base import Base
from ..progress import Progress
from .losses import ShotsLoss
from .settings import TuneSettings

if TYPE_CHECKING:
    from ..prompts.encoding import Encoded


class Tunable(ABC):
    """What can be fitted to a few records: parameters of its own, in or beside a frozen model."""

    @abstractmethod
    def fresh(self, base: Base, seed: int) -> AbstractContextManager[tuple[Base, Sequence[torch.Tensor]]]:
        """Within the block the base that is yielded computes with new parameters, which are yielded beside it.

        They take gradients, and nothing else does; afterwards `base` is as it was. One seed, one beginning.
        """


@dataclass(frozen=True)
class Fitted:
    """For how many steps it was tuned, and what the loss was on all records before and after.

    `held_out` is the loss on held-out records by number of steps, a mean over all records; it is empty where the
    number was given. `weights` are the parameters that were trained.
    """

    steps: int
    before: float
    after: float
    held_out: Mapping[int, float]
    weights: Sequence[torch.Tensor]

    @property
    def trainable(self) -> int:
        """How many numbers were trained."""
        return sum(each.numel() for each in self.weights)

    def as_json(self) -> dict[str, Any]:
        """What is told of it: everything but the weights."""
        held_out = {str(steps): value for steps, value in self.held_out.items()}
        return {"steps": self.steps, "before": self.before, "after": self.after, "held_out": held_out,
                "trainable": self.trainable}  # fmt: skip


@contextmanager
def fitted(
    base: Base, tunable: Tunable, loss: ShotsLoss, settings: TuneSettings, seed: int, progress: Progress
) -> Iterator[tuple[Base, Fitted]]:
    """Within the block the base that is yielded computes as tuned on all of the loss's examples.

    Raises BadInput where steps have to be chosen and there is nothing to hold out; MdkifError if a loss is not finite.
    """
    found = {} if settings.steps is not None else held_out(base, tunable, loss, settings, seed, progress)
    steps = settings.steps if settings.steps is not None else min(found, key=lambda n: (found[n], n))
    with tunable.fresh(base, seed) as (tuned, parameters):
        before = loss.value(tuned)
        rows = range(len(loss.examples))
        with progress.task("tuning", steps) as bar:
            for number in _descent(tuned, parameters, loss, rows, steps, settings, seed):
                bar.advance(1 if number else 0)
        yield tuned, Fitted(steps, before, loss.value(tuned), found, parameters)


def folds(examples: Sequence[Encoded], count: int) -> list[list[int]]:
    """The examples' places dealt into at most `count` parts, groups whole, and labels evenly where all list the same.

    Raises BadInput where all are of one group.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for place, example in enumerate(examples):
        groups[example.record.group].append(place)
    alike = len({example.record.options for example in examples}) == 1
    dealt = sorted(groups.values(), key=lambda places: examples[places[0]].record.labels if alike else ())
    parts = [list(chain.from_iterable(dealt[i::count])) for i in range(min(count, len(dealt)))]
    if len(parts) < 2:
        raise BadInput(
            "The number of steps cannot be chosen, for there are no two groups of records to hold out in turn: "
            "give it, as in --tune 8."
        )
    return parts


def held_out(
    base: Base,
    tunable: Tunable,
    loss: ShotsLoss,
    settings: TuneSettings,
    seed: int,
    progress: Progress,
    judge: ShotsLoss | None = None,
) -> dict[int, float]:
    """The mean loss on held-out records after 0 steps and every few more; another loss of theirs may `judge`.

    Raises as `folds` does, and MdkifError if a loss is not finite.
    """
    parts = folds(loss.examples, settings.folds)
    tried = sorted({*range(0, settings.most, settings.every), settings.most})
    found = dict.fromkeys(tried, 0.0)
    with progress.task("tuning: how many steps", settings.most * len(parts)) as bar:
        for held in parts:
            rows = sorted(set(range(len(loss.examples))) - set(held))
            with tunable.fresh(base, seed) as (tuned, parameters):
                for number in _descent(tuned, parameters, loss, rows, settings.most, settings, seed):
                    if number in found:
                        found[number] += (judge or loss).value(tuned, held) * len(held) / len(loss.examples)
                    bar.advance(1 if number else 0)
    return found


def _descent(
    base: Base,
    parameters: Sequence[torch.Tensor],
    loss: ShotsLoss,
    rows: Sequence[int],
    steps: int,
    settings: TuneSettings,
    seed: int,
) -> Iterator[int]:
    """How many steps were made: 0 before the first, and then after each."""
    optimizer = torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=0.0)
    draw = random.Random(f"tune:{seed}")
    yield 0
    for number in range(1, steps + 1):
        optimizer.zero_grad(set_to_none=True)
        value = loss.backward(base, draw.sample(rows, min(settings.batch_size, len(rows))))
        norm = torch.nn.utils.clip_grad_norm_(parameters, settings.max_grad_norm)
        if not (math.isfinite(value) and math.isfinite(norm)):
            raise MdkifError(
                f"The loss of the tuning became {value} at step {number}: lower its rate, now {settings.learning_rate}."
            )
        optimizer.step()
        yield number
    optimizer.zero_grad(set_to_none=True)
