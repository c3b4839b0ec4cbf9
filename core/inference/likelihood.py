"""Cross-entropy of answers: logits where answers stand, and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional

from ..models.base import Base
from ..prompts.batching import Batch, budgeted, collate
from ..prompts.encoding import Encoded


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
