"""Cross-entropy of answers: logits where answers stand, and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional

from ..models.base import Base
from ..prompts.batching import Batch, budgeted, collate
from ..prompts.encoding import Encoded
from .projection import Measure, measured


def answer_loss(model: Any, batch: Batch, reduction: str = "mean") -> torch.Tensor:
    """Cross-entropy of the answers' tokens (SA-MDKIF eq. 5), with logits computed for no other position.

    Returns a float32 scalar or, for reduction "rows", the sum over each row's answer, shape (rows,), and never
    an adapter's penalty.
    """
    return _reduced(answer_entropies(model, batch), batch, reduction)


def answer_entropies(model: Any, batch: Batch) -> torch.Tensor:
    """The cross-entropy of every answer's tokens, row by row, float32 (answer tokens of the batch,)."""
    targets = batch.targets[_answers(batch)]
    return _measured(
        model, batch, lambda logits, part: functional.cross_entropy(logits, targets[part], reduction="none")
    )


def answer_logits(model: Any, batch: Batch) -> torch.Tensor:
    """Float32 logits that predict the answers' tokens, the last `batch.keep` of each row: (rows, keep, vocabulary).

    They are 0 where a row's answer is shorter.
    """
    rows, columns = _answers(batch)
    found = _measured(model, batch, lambda logits, _: logits)
    logits = found.new_zeros(len(batch.ids), batch.keep, found.shape[-1])
    return logits.index_put((rows, columns - batch.ids.shape[1] + batch.keep), found)


def logits_loss(logits: torch.Tensor, batch: Batch, reduction: str = "mean") -> torch.Tensor:
    """The cross-entropy of `answer_loss` from the answers' logits."""
    rows, columns = _answers(batch)
    chosen = logits[rows, columns - batch.ids.shape[1] + batch.keep]
    each = functional.cross_entropy(chosen, batch.targets[rows, columns], reduction="none")
    return _reduced(each, batch, reduction)


@torch.no_grad()
def mean_loss(base: Base, examples: Sequence[Encoded], tokens: int = 4096) -> float | None:
    """Cross-entropy in nats per answer token over `examples`; None if there are none."""
    if not examples:
        return None
    total = 0.0
    for indices in budgeted([len(e) for e in examples], tokens):
        batch = collate([examples[i] for i in indices], base.pad, base.model.device, share=True)
        total += answer_loss(base.model, batch, "rows").sum().item()
    return total / sum(len(example.answer) for example in examples)


def _answers(batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Where the answers' tokens stand, row by row; each is predicted one column before."""
    rows, columns = (batch.targets != -100).nonzero(as_tuple=True)
    return rows, columns


def _measured(model: Any, batch: Batch, measure: Measure) -> torch.Tensor:
    rows, columns = _answers(batch)
    inputs = {"input_ids": batch.ids, "attention_mask": batch.mask, "position_ids": batch.positions}
    return measured(model, inputs, rows, columns - 1, measure, batch.prefix)


def _reduced(each: torch.Tensor, batch: Batch, reduction: str) -> torch.Tensor:
    if reduction != "rows":
        return each.mean()
    return each.new_zeros(len(batch.ids)).index_add(0, _answers(batch)[0], each)
