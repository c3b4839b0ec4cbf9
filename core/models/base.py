"""A frozen base model with its tokenizer, and what tells one from another."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

FINGERPRINT_BYTES = 1 << 20


@dataclass
class Base:
    """A frozen base model with its tokenizer; `name` is its folder's name in the store.

    `fingerprint` is a SHA-256 over the configuration and, of each weight file, its size and its
    first and last mebibyte: quick for any size, and different for different weights.
    """

    name: str
    path: str
    fingerprint: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase

    @property
    def pad(self) -> int:
        """The token id used for padding; it is masked, so any id does."""
        for token in (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id):
            if isinstance(token, int):
                return token
        return 0


def fingerprint(path: Path, model: Any) -> str:
    """What tells one base model's weights from another's, as 16 hexadecimal digits."""
    digest = hashlib.sha256()
    files: Sequence[Path] = sorted(path.glob("*.safetensors")) if path.is_dir() else []
    if not files:
        digest.update(f"{model.config._name_or_path}@{getattr(model.config, '_commit_hash', None)}".encode())
    for file in files:
        size = file.stat().st_size
        digest.update(f"{file.name}:{size}".encode())
        with file.open("rb") as data:
            digest.update(data.read(FINGERPRINT_BYTES))
            data.seek(max(0, size - FINGERPRINT_BYTES))
            digest.update(data.read())
    return digest.hexdigest()[:16]
