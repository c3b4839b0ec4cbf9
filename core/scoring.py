"""Answers of a model: log-likelihood of listed labels, with the context read once, and generated text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch

from .batching import budgeted
from .encoding import Encoded
from .models import Base

Normaliser = Literal["sum", "token-mean", "pmi"]


def option_scores(base: Base, rows: Sequence[Encoded], tokens: int = 4096) -> list[list[float]]:
    """log p(option | prompt) of every option of every row, summed over the option's tokens."""
    return [[math.fsum(option) for option in row] for row in token_scores(base, rows, tokens)]


@torch.no_grad()
def token_scores(base: Base, rows: Sequence[Encoded], tokens: int = 4096) -> list[list[list[float]]]:
    """log p of every token of every option of every row, given the prompt and the tokens before it.

    A prompt and all its options go through one forward: the options stand side by side after the
    prompt, each sees the prompt and itself (a tree mask), and positions continue from the prompt.
    An option's last token is never an input, so one-token labels cost nothing beyond the prompt.
    """
    lengths = [len(row.prompt) + sum(len(option) - 1 for option in row.options) for row in rows]
    scores: list[list[list[float]]] = [[] for _ in rows]
    for indices in budgeted(lengths, tokens):
        for i, found in zip(indices, _score(base, [rows[i] for i in indices]), strict=True):
            scores[i] = found
    return scores


def _score(base: Base, rows: Sequence[Encoded]) -> list[list[list[float]]]:
    model, device = base.model, base.model.device
    blocks = [sum(len(option) - 1 for option in row.options) for row in rows]
    length = max(len(row.prompt) + block for row, block in zip(rows, blocks, strict=True))
    keep = max(blocks) + 1
    ids = torch.full((len(rows), length), base.pad)
    positions = torch.zeros((len(rows), length), dtype=torch.long)
    sees = torch.zeros((len(rows), length, length), dtype=torch.bool)
    for i, (row, block) in enumerate(zip(rows, blocks, strict=True)):
        start = length - block - len(row.prompt)
        after = start + len(row.prompt)
        ids[i, start:after] = torch.tensor(row.prompt)
        positions[i, start:after] = torch.arange(len(row.prompt))
        sees[i, start:, start:after] = True
        sees[i, start:after, start:after] = torch.ones(len(row.prompt), len(row.prompt), dtype=torch.bool).tril()
        for option in row.options:
            end = after + len(option) - 1
            ids[i, after:end] = torch.tensor(option[:-1], dtype=torch.long)
            positions[i, after:end] = torch.arange(len(row.prompt), len(row.prompt) + len(option) - 1)
            sees[i, after:end, after:end] = torch.ones(end - after, end - after, dtype=torch.bool).tril()
            after = end
    mask = torch.zeros(sees.shape, dtype=model.dtype).masked_fill(~sees, torch.finfo(model.dtype).min)
    logits = model(
        input_ids=ids.to(device),
        attention_mask=mask[:, None].to(device),
        position_ids=positions.to(device),
        logits_to_keep=keep,
        use_cache=False,
    ).logits
    return [
        _row_scores(torch.log_softmax(logits[i, keep - 1 - block :].float(), dim=-1), row.options)
        for i, (row, block) in enumerate(zip(rows, blocks, strict=True))
    ]


def _row_scores(logp: torch.Tensor, options: Sequence[tuple[int, ...]]) -> list[list[float]]:
    """Each option's tokens; row 0 of `logp` predicts every option's first token."""
    scores, at = [], 1
    for option in options:
        where = [0, *range(at, at + len(option) - 1)]
        scores.append(logp[where, list(option)].tolist())
        at += len(option) - 1
    return scores


def normalised(
    raw: Sequence[float], lengths: Sequence[int], unconditional: Sequence[float] | None, normaliser: Normaliser
) -> tuple[float, ...]:
    """Scores comparable across records: normalised, then a log-softmax over the record's options.

    "sum" keeps log p(option | prompt), "token-mean" divides by the option's tokens, "pmi" subtracts
    log p(option | the same prompt without its context), `unconditional`.
    """
    scores = torch.tensor(raw, dtype=torch.float64)
    if normaliser == "token-mean":
        scores = scores / torch.tensor(lengths)
    elif normaliser == "pmi" and unconditional is not None:
        scores = scores - torch.tensor(unconditional, dtype=torch.float64)
    return tuple(torch.log_softmax(scores, dim=0).tolist())


@torch.no_grad()
def generate(base: Base, rows: Sequence[Encoded], max_new_tokens: int = 64, tokens: int = 4096) -> list[str]:
    """The greedy continuation of every prompt, as text without special tokens."""
    texts = [""] * len(rows)
    tokenizer: Any = base.tokenizer
    for indices in budgeted([len(row.prompt) + max_new_tokens for row in rows], tokens):
        length = max(len(rows[i].prompt) for i in indices)
        ids = torch.full((len(indices), length), base.pad)
        mask = torch.zeros((len(indices), length), dtype=torch.long)
        for place, i in enumerate(indices):
            ids[place, length - len(rows[i].prompt) :] = torch.tensor(rows[i].prompt)
            mask[place, length - len(rows[i].prompt) :] = 1
        out: Any = base.model.generate(  # type: ignore[operator]
            input_ids=ids.to(base.model.device),
            attention_mask=mask.to(base.model.device),
            max_new_tokens=max_new_tokens,
            do_sample=False,
            pad_token_id=base.pad,
        )
        for place, i in enumerate(indices):
            texts[i] = tokenizer.decode(out[place, length:], skip_special_tokens=True).strip()
    return texts
