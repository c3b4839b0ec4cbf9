"""Attention whose backward pass is quick: on a processor in half precision PyTorch's fused kernel is slow backwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

LONGEST = 128
"""Tokens of a row. Beyond it the weights that plain products keep for the backward pass take too much memory."""


@contextmanager
def differentiable(model: Any, length: int) -> Iterator[None]:
    """Within the block attention over rows of `length` tokens is computed in the way whose backward pass is quickest.

    In bfloat16 on a processor, forward and backward take a quarter of the fused kernel's time at 60 tokens and two
    thirds at 240; in float32 there is nothing to gain.
    """
    fused = model.config._attn_implementation == "sdpa" and model.dtype in (torch.bfloat16, torch.float16)
    short = fused and model.device.type == "cpu" and length <= LONGEST and not model.is_activation_checkpointing
    if not short:
        yield
        return
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation("sdpa")
