"""Stage I: the loop that trains one adapter on one skill's records, interruptible and resumable."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ..contract.events import Following
from ..errors import MdkifError
from ..inference.likelihood import answer_loss, mean_loss
from ..models.base import Base
from ..progress import Progress
from ..prompts.batching import Batch, budgeted, collate, shuffled
from ..prompts.encoding import Encoded
from .checkpoint import CHECKPOINT, resume, save_checkpoint
from .layers import fused
from .method import TuningMethod
from .settings import TrainSettings

if TYPE_CHECKING:
    from peft import PeftModel


@dataclass(frozen=True)
class Trained:
    """The result of stage I: the adapted model, and the losses in nats per answer token."""

    model: PeftModel
    steps: int
    losses: list[float]
    dev_before: float | None
    dev_after: float | None


def train(
    base: Base,
    examples: Sequence[Encoded],
    dev: Sequence[Encoded],
    method: TuningMethod,
    settings: TrainSettings,
    run: Path,
    progress: Progress,
    title: str = "training",
    told: Following | None = None,
) -> Trained:
    """Train one adapter alone on the frozen base; the same seed gives the same adapter, resumed or not.

    `told` hears of every step. Raises MdkifError if the loss is not finite.
    """
    steps = settings.steps or max(1, math.ceil(settings.epochs * len(examples) / settings.batch_size))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        before = mean_loss(base, dev)
        first = collate(examples[: settings.batch_size], base.pad, base.model.device)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)  # PEFT's to mend
            model = method.attach(base.model, steps, lambda: answer_loss(base.model, first))
        try:
            with fused(model):
                return _loop(
                    base,
                    model,
                    examples,
                    dev,
                    before,
                    steps,
                    method,
                    settings,
                    run,
                    progress,
                    title,
                    told or Following(),
                )
        except BaseException:  # an interrupted run must not leave its adapter on a base that is used again
            model.unload()
            base.model.eval()
            raise


def _loop(
    base: Base,
    model: PeftModel,
    examples: Sequence[Encoded],
    dev: Sequence[Encoded],
    before: float | None,
    steps: int,
    method: TuningMethod,
    settings: TrainSettings,
    run: Path,
    progress: Progress,
    title: str,
    told: Following,
) -> Trained:
    groups = [{"lr": method.learning_rate, **group} for group in method.groups(model)]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.0, fused=True)
    start, losses = resume(run / CHECKPOINT, model, optimizer, method)
    if start:
        progress.note(f"resuming at step {start} of {steps} from {run / CHECKPOINT}")
    rates = [group["lr"] for group in groups]
    trainable = [p for p in model.parameters() if p.requires_grad]
    base.model.train()
    with progress.task(title, steps, start) as bar:
        for step, parts in islice(enumerate(_batches(base, examples, settings), 1), start, steps):
            for group, lr in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = lr * _rate(step - 1, steps, settings.warmup)
            losses.append(_backward(base, model, method, parts))
            if not math.isfinite(losses[-1]):
                rate = method.learning_rate
                raise MdkifError(
                    f"The training loss became {losses[-1]} at step {step}: lower learning_rate, now {rate}."
                )
            torch.nn.utils.clip_grad_norm_(trainable, settings.max_grad_norm)
            optimizer.step()
            method.stepped(model, step)
            optimizer.zero_grad(set_to_none=True)
            if step % settings.checkpoint_every == 0 and step < steps:
                save_checkpoint(run / CHECKPOINT, model, optimizer, method, losses)
            rank = method.mean_rank(model)
            bar.advance(loss=f"{_recent(losses):.3f}", **({} if rank is None else {"rank": f"{rank:.1f}"}))
            figures = {"loss": losses[-1], "learning_rate": optimizer.param_groups[0]["lr"]}
            told.step(step, **figures, **({} if rank is None else {"rank": rank}))
    base.model.eval()
    model.requires_grad_(False)
    return Trained(model, steps, losses, before, mean_loss(base, dev))


def _backward(base: Base, model: PeftModel, method: TuningMethod, parts: Sequence[Batch]) -> float:
    """Gradients of the mean loss per answer token over all parts, and of the penalty; returns the loss alone."""
    answers = sum(int((part.targets != -100).sum()) for part in parts)
    total = 0.0
    for part in parts:
        loss = answer_loss(base.model, part, "rows").sum() / answers
        loss.backward()
        total += loss.item()
    penalty = method.penalty(model)
    if penalty is not None:
        penalty.backward()
    return total


def _batches(base: Base, examples: Sequence[Encoded], settings: TrainSettings) -> Iterator[list[Batch]]:
    """Each step's examples, in parts of at most `settings.tokens` tokens."""
    for indices in shuffled([len(e) for e in examples], settings.batch_size, settings.seed):
        step = [examples[i] for i in indices]
        parts = budgeted([len(e) for e in step], settings.tokens)
        yield [collate([step[i] for i in part], base.pad, base.model.device) for part in parts]


def _rate(step: int, steps: int, warmup: float) -> float:
    rising = max(1, round(warmup * steps))
    if step < rising:
        return (step + 1) / rising
    share = (step - rising) / max(1, steps - rising)
    return 0.1 + 0.9 * (1 + math.cos(math.pi * share)) / 2


def _recent(losses: list[float]) -> float:
    window = losses[-10:]
    return sum(window) / len(window)
