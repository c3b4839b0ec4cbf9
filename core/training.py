"""Stage I: the loop that trains one adapter on one skill's records, interruptible and resumable."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from .batching import Batch, budgeted, collate, shuffled
from .encoding import Encoded
from .errors import MdkifError
from .method import Method
from .models import Base
from .progress import Progress
from .settings import Positive
from .store import whole_file

if TYPE_CHECKING:
    from peft import PeftModel

CHECKPOINT = "checkpoint.safetensors"


@dataclass(kw_only=True)
class TrainingSettings:
    """Settings of the loop, the same for every trainer.

    `steps` counts optimizer steps; 0 means `epochs` passes over the records. A step's examples go
    through the model in parts of at most `tokens` tokens, which bounds memory. The learning rate
    rises linearly over the first `warmup` share of the steps and falls as a cosine to a tenth.
    `split_policy` says which records may be learnt from.
    """

    steps: int = 0
    epochs: float = 3.0
    batch_size: Positive = 16
    tokens: Positive = 2048
    warmup: float = 0.06
    max_grad_norm: float = 1.0
    max_length: int = 512
    records: int = 0
    dev_records: int = 64
    checkpoint_every: Positive = 20
    split_policy: str = "official"
    seed: int = 0


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
    method: Method,
    settings: TrainingSettings,
    run: Path,
    progress: Progress,
    title: str = "training",
) -> Trained:
    """Train one adapter alone on the frozen base; the same seed gives the same adapter, resumed or not.

    Raises MdkifError if the loss is not finite.
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
            return _loop(base, model, examples, dev, before, steps, method, settings, run, progress, title)
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
    method: Method,
    settings: TrainingSettings,
    run: Path,
    progress: Progress,
    title: str,
) -> Trained:
    groups = [{"lr": method.learning_rate, **group} for group in method.groups(model)]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.0, fused=True)
    start, losses = _resume(run / CHECKPOINT, model, optimizer, method)
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
                _checkpoint(run / CHECKPOINT, model, optimizer, method, losses)
            rank = method.rank(model)
            bar.advance(loss=f"{_recent(losses):.3f}", **({} if rank is None else {"rank": f"{rank:.1f}"}))
    base.model.eval()
    model.requires_grad_(False)
    return Trained(model, steps, losses, before, mean_loss(base, dev))


def _backward(base: Base, model: PeftModel, method: Method, parts: Sequence[Batch]) -> float:
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


def answer_loss(model: Any, batch: Batch, reduction: str = "mean") -> torch.Tensor:
    """Cross-entropy of the answers' tokens (SA-MDKIF eq. 5), with logits computed for no other position.

    Returns a scalar or, for reduction "rows", the sum over each row's answer, shape (rows,), and never
    an adapter's penalty.
    """
    return logits_loss(answer_logits(model, batch), batch, reduction)


def answer_logits(model: Any, batch: Batch) -> torch.Tensor:
    """Float32 logits that predict the answers' tokens, the last `batch.keep` of each row: (rows, keep, vocabulary)."""
    output = model(
        input_ids=batch.ids,
        attention_mask=batch.mask,
        position_ids=batch.positions,
        logits_to_keep=batch.keep + 1,
        use_cache=False,
    )
    logits: torch.Tensor = output.logits[:, :-1].float()
    return logits


def logits_loss(logits: torch.Tensor, batch: Batch, reduction: str = "mean") -> torch.Tensor:
    """The cross-entropy of `answer_loss` from the answers' logits."""
    targets = batch.targets[:, -batch.keep :]
    each = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none", ignore_index=-100)
    rows = each.view_as(targets).sum(1)
    return rows if reduction == "rows" else rows.sum() / (targets != -100).sum()


@torch.no_grad()
def mean_loss(base: Base, examples: Sequence[Encoded], tokens: int = 4096) -> float | None:
    """Cross-entropy in nats per answer token over `examples`; None if there are none."""
    if not examples:
        return None
    total = 0.0
    for indices in budgeted([len(e) for e in examples], tokens):
        batch = collate([examples[i] for i in indices], base.pad, base.model.device)
        total += answer_loss(base.model, batch, "rows").sum().item()
    return total / sum(len(example.answer) for example in examples)


def _batches(base: Base, examples: Sequence[Encoded], settings: TrainingSettings) -> Iterator[list[Batch]]:
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


def _checkpoint(
    path: Path, model: PeftModel, optimizer: torch.optim.Optimizer, method: Method, losses: list[float]
) -> None:
    """Unpruned parameters, optimizer and method state, losses and random state in one safetensors file."""
    from safetensors.torch import save_file

    tensors = {f"model/{n}": p.detach() for n, p in model.named_parameters() if p.requires_grad}
    for i, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{i}/{key}": torch.as_tensor(value) for key, value in state.items()}
    tensors |= {f"method/{key}": value for key, value in method.state(model).items()}
    tensors["losses"] = torch.tensor(losses, dtype=torch.float64)
    tensors["random"] = torch.get_rng_state()
    with whole_file(path) as part:
        save_file({key: value.contiguous().clone() for key, value in tensors.items()}, part)


def _resume(path: Path, model: PeftModel, optimizer: torch.optim.Optimizer, method: Method) -> tuple[int, list[float]]:
    if not path.exists():
        return 0, []
    from safetensors.torch import load_file

    tensors = load_file(path)
    own = dict(model.named_parameters())
    state: dict[int, dict[str, torch.Tensor]] = {}
    kept: dict[str, torch.Tensor] = {}
    with torch.no_grad():
        for key, value in tensors.items():
            kind, _, name = key.partition("/")
            if kind == "model":
                own[name].copy_(value)
            elif kind == "optimizer":
                index, _, slot = name.partition("/")
                state.setdefault(int(index), {})[slot] = value
            elif kind == "method":
                kept[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    method.restore(model, kept)
    torch.set_rng_state(tensors["random"])
    losses = tensors["losses"].tolist()
    return len(losses), losses
