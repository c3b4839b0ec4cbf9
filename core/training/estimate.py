"""What a training will take, before it begins: counted in its own schedule, and measured on a few of its steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from statistics import median

import torch

from ..inference.likelihood import mean_loss
from ..models.base import Base
from ..models.memory import forget_peak, peak_bytes, weight_bytes
from ..prompts.encoding import Encoded
from .loop import Parts, adapting, optimizer_of, schedule, step, step_count
from .method import TuningMethod
from .settings import TrainSettings

MEASURED, SAMPLE = 3, 16
"""Ordinary steps and development records that are timed."""
MIB = 1 << 20


@dataclass(frozen=True)
class TrainEstimate:
    """What one training takes.

    `tokens` are those of all steps, prompts and answers, without padding. `memory` is the most that is held at
    once, in MiB: by the whole process or, on an accelerator, there; `weights` is the base model's share of it.
    `hours` has the steps and the losses before and after, but no loading.
    """

    records: int
    steps: int
    tokens: int
    weights: float
    memory: float
    hours: float


def estimate(
    base: Base, examples: Sequence[Encoded], dev: Sequence[Encoded], method: TuningMethod, settings: TrainSettings
) -> TrainEstimate:
    """Count a training's steps, and run the largest and a few ordinary ones with an adapter that is thrown away."""
    count = step_count(examples, settings)
    planned = list(islice(schedule(examples, settings), count))
    sizes = list(map(_padded, planned))
    order = sorted(range(count), key=lambda i: sizes[i])
    ordinary = min(MEASURED, count - 1)
    chosen = [order[-1], *(order[count * (2 * i + 1) // (2 * ordinary)] for i in range(ordinary))]
    forget_peak(base.model.device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        with adapting(base, examples, method, settings, count) as model:
            optimizer = optimizer_of(method, model)
            seconds = [
                _seconds(partial(step, base, model, method, optimizer, planned[i], number, settings.max_grad_norm))
                for number, i in enumerate(chosen, 1)
            ]
        model.unload()
    base.model.requires_grad_(False)
    rates = [each / sizes[i] for each, i in zip(seconds, chosen, strict=True)]
    losses = 2 * len(dev) / len(dev[:SAMPLE]) * _seconds(lambda: mean_loss(base, dev[:SAMPLE])) if dev else 0.0
    return TrainEstimate(
        records=len(examples),
        steps=count,
        tokens=sum(len(example) for parts in planned for part in parts for example in part),
        weights=weight_bytes(base.model) / MIB,
        memory=peak_bytes(base.model.device) / MIB,
        hours=(median(rates[1:] or rates) * sum(sizes) + losses) / 3600,
    )


def _padded(parts: Parts) -> int:
    """A step's tokens, padding included: what its time is proportional to."""
    return sum(len(part) * max(map(len, part)) for part in parts)


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()
    return time.perf_counter() - started
