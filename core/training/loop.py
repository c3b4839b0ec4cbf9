"""Stage I: the loop that trains one adapter on one skill's records, interruptible and resumable."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ..contract.events import Following
from ..errors import BadInput, MdkifError
from ..inference.likelihood import answer_loss, mean_loss
from ..models.base import Base
from ..models.memory import recomputed
from ..progress import Progress
from ..prompts.batching import Batch, budgeted, collate, shuffled
from ..prompts.encoding import Encoded
from .checkpoint import CHECKPOINT, resume, save_checkpoint
from .layers import fused
from .method import TuningMethod
from .settings import TrainSettings

if TYPE_CHECKING:
    from peft import PeftModel


Parts = list[list[Encoded]]


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
    steps = step_count(examples, settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        before = mean_loss(base, dev)
        with adapting(base, examples, method, settings, steps) as model:
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


@contextmanager
def adapting(
    base: Base, examples: Sequence[Encoded], method: TuningMethod, settings: TrainSettings, steps: int
) -> Iterator[PeftModel]:
    """The base with a fresh adapter on it, ready for the first step; taken off again only if the block fails."""
    first = collate(examples[: settings.batch_size], base.pad, base.model.device)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)  # PEFT's to mend
        model = method.attach(base.model, steps, lambda: answer_loss(base.model, first))
    try:
        with fused(model), recomputed(base.model) if settings.gradient_checkpointing else nullcontext():
            base.model.train()
            yield model
            base.model.eval()
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
    optimizer = optimizer_of(method, model)
    try:
        start, losses = resume(run / CHECKPOINT, model, optimizer, method)
    except BadInput as error:
        progress.note(f"{error} The training starts again from the beginning.")
        start, losses = 0, []
    if start:
        progress.note(f"resuming at step {start} of {steps} from {run / CHECKPOINT}")
    rates = [group["lr"] for group in optimizer.param_groups]
    with progress.task(title, steps, start) as bar:
        for number, rows in islice(enumerate(schedule(examples, settings), 1), start, steps):
            for group, lr in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = lr * _rate(number - 1, steps, settings.warmup)
            try:
                losses.append(step(base, model, method, optimizer, rows, number, settings.max_grad_norm))
            except MdkifError:
                if (run / CHECKPOINT).exists():
                    progress.note(f"The last state that was saved, before that, is in {run / CHECKPOINT}.")
                raise
            if number % settings.checkpoint_every == 0 and number < steps:
                save_checkpoint(run / CHECKPOINT, model, optimizer, method, losses)
            rank = method.mean_rank(model)
            bar.advance(loss=f"{_recent(losses):.3f}", **({} if rank is None else {"rank": f"{rank:.1f}"}))
            figures = {"loss": losses[-1], "learning_rate": optimizer.param_groups[0]["lr"]}
            told.step(number, **figures, **({} if rank is None else {"rank": rank}))
    base.model.eval()
    model.requires_grad_(False)
    after = mean_loss(base, dev)
    _check_finite(0.0 if after is None else after, "loss on the development records", steps, method)
    return Trained(model, steps, losses, before, after)


def optimizer_of(method: TuningMethod, model: PeftModel) -> torch.optim.Optimizer:
    """AdamW over the method's parameter groups."""
    groups = [{"lr": method.learning_rate, **group} for group in method.groups(model)]
    return torch.optim.AdamW(groups, weight_decay=0.0, fused=True)


def step_count(examples: Sequence[Encoded], settings: TrainSettings) -> int:
    """How many optimizer steps the settings ask for."""
    return settings.steps or max(1, math.ceil(settings.epochs * len(examples) / settings.batch_size))


def schedule(examples: Sequence[Encoded], settings: TrainSettings) -> Iterator[Parts]:
    """Each step's examples, without an end, in parts of at most `settings.tokens` tokens with their padding."""
    for indices in shuffled([len(e) for e in examples], settings.batch_size, settings.seed):
        rows = [examples[i] for i in indices]
        yield [[rows[i] for i in part] for part in budgeted([len(e) for e in rows], settings.tokens)]


def step(
    base: Base,
    model: PeftModel,
    method: TuningMethod,
    optimizer: torch.optim.Optimizer,
    parts: Parts,
    number: int,
    max_grad_norm: float,
) -> float:
    """Optimizer step `number`, from 1, on these records; returns their loss.

    Raises MdkifError if the loss, its gradient or a parameter after the step is not finite.
    """
    share = not base.model.is_activation_checkpointing  # whose layers keep nothing of a prefix
    batches = [collate(part, base.pad, base.model.device, share) for part in parts]
    loss = _backward(base, model, method, batches)
    _check_finite(loss, "loss", number, method)
    parameters = [p for g in optimizer.param_groups for p in g["params"]]
    _check_finite(torch.nn.utils.clip_grad_norm_(parameters, max_grad_norm).item(), "gradient", number, method)
    optimizer.step()
    method.stepped(model, number)
    _check_finite(torch.nn.utils.get_total_norm(parameters).item(), "parameters' norm", number, method)
    optimizer.zero_grad(set_to_none=True)
    return loss


def _check_finite(value: float, what: str, number: int, method: TuningMethod) -> None:
    if not math.isfinite(value):
        rate = method.learning_rate
        raise MdkifError(f"The training's {what} became {value} at step {number}: lower learning_rate, now {rate}.")


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


def _rate(step: int, steps: int, warmup: float) -> float:
    rising = max(1, round(warmup * steps))
    if step < rising:
        return (step + 1) / rising
    share = (step - rising) / max(1, steps - rising)
    return 0.1 + 0.9 * (1 + math.cos(math.pi * share)) / 2


def _recent(losses: list[float]) -> float:
    window = losses[-10:]
    return sum(window) / len(window)
