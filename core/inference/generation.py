"""Free answers: greedy continuations of prompts."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch

from ..models.base import Base
from ..models.virtual import virtual_tokens
from ..prompts.batching import budgeted
from ..prompts.encoding import Encoded
from .decoding import continuations, decodes_plainly


@torch.no_grad()
def generate(
    base: Base, rows: Sequence[Encoded], max_new_tokens: int = 64, tokens: int = 4096, first_line: bool = False
) -> list[str]:
    """The greedy continuation of every prompt, as text without special tokens.

    With `first_line` it ends with its first line that is not blank.
    """
    tokenizer: Any = base.tokenizer
    prompts = [row.prompt for row in rows]

    def text(ids: Sequence[int]) -> str:
        return str(tokenizer.decode(ids, skip_special_tokens=True))

    if not decodes_plainly(base):
        found = _generated(base, rows, max_new_tokens, tokens)
    elif first_line:
        found = continuations(base, prompts, max_new_tokens, tokens, lambda ids: "\n" in text(ids).lstrip())
    else:
        found = continuations(base, prompts, max_new_tokens, tokens)
    texts = [text(each).strip() for each in found]
    return [each.partition("\n")[0].rstrip() for each in texts] if first_line else texts


def _generated(base: Base, rows: Sequence[Encoded], max_new_tokens: int, tokens: int) -> Sequence[Sequence[int]]:
    """The same as tokens, by transformers: a batch runs until its last text ends.

    PEFT knows no positions behind a learnt prompt, so that such a model writes texts one by one, without padding.
    """
    found: list[Sequence[int]] = [()] * len(rows)
    tokens = 0 if virtual_tokens(base.model) else tokens
    for indices in budgeted([len(row.prompt) + max_new_tokens for row in rows], tokens):
        length = max(len(rows[i].prompt) for i in indices)
        ids = torch.full((len(indices), length), base.pad)
        mask = torch.zeros((len(indices), length), dtype=torch.long)
        for place, i in enumerate(indices):
            ids[place, length - len(rows[i].prompt) :] = torch.tensor(rows[i].prompt)
            mask[place, length - len(rows[i].prompt) :] = 1
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Position ids are not supported")
            out: Any = base.model.generate(  # type: ignore[operator]
                input_ids=ids.to(base.model.device),
                attention_mask=mask.to(base.model.device),
                max_new_tokens=max_new_tokens,
                do_sample=False,
                pad_token_id=base.pad,
            )
        for place, i in enumerate(indices):
            found[i] = out[place, length:].tolist()
    return found
