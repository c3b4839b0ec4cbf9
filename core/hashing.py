"""Short names for what work depends on: the first digits of SHA-256."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def digest(*parts: torch.Tensor | str | Iterable[int]) -> str:
    """A short name of tensors, texts and numbers: 16 hexadecimal digits."""
    found = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            found.update(repr(part).encode())
        elif hasattr(part, "detach"):  # a tensor, told without importing PyTorch
            tensor: Any = part
            found.update(
                str(tuple(tensor.shape)).encode() + tensor.detach().float().cpu().contiguous().numpy().tobytes()
            )
        else:
            found.update(repr(tuple(part)).encode())
    return found.hexdigest()[:16]


def json_digest(value: Any) -> str:
    """A short name of JSON values, whatever the order of their keys: 12 hexadecimal digits."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def file_digest(*paths: Path) -> str:
    """A short name of the contents of files, in the order given: 16 hexadecimal digits."""
    found = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                found.update(block)
    return found.hexdigest()[:16]


def sha256(path: Path) -> str:
    """The SHA-256 of a file's contents: 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_sha256(path: Path, recorded: str) -> bool:
    """Whether a file is there with the SHA-256 that was recorded, of which its first 16 digits are enough."""
    try:
        return path.is_file() and len(recorded) >= 16 and sha256(path).startswith(recorded)
    except OSError:  # gone since
        return False
