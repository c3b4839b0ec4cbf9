"""Short names for what work depends on: the first digits of SHA-256."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import torch


def digest(*parts: torch.Tensor | str | Iterable[int]) -> str:
    """A short name of tensors, texts and numbers: 16 hexadecimal digits of a SHA-256."""
    found = hashlib.sha256()
    for part in parts:
        if isinstance(part, torch.Tensor):
            found.update(str(tuple(part.shape)).encode() + part.detach().float().cpu().contiguous().numpy().tobytes())
        else:
            found.update(repr(part if isinstance(part, str) else tuple(part)).encode())
    return found.hexdigest()[:16]
