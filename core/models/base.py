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
READ = ("added_tokens.json", "chat_template.jinja", "chat_template.json", "config.json", "generation_config.json",
        "merges.txt", "special_tokens_map.json", "tokenizer.json", "tokenizer.model", "tokenizer_config.json",
        "vocab.json", "vocab.txt")  # fmt: skip


@dataclass
class Base:
    """A frozen base model with its tokenizer; `name` is its folder's name in the store.

    `fingerprint` has two parts. The first is a SHA-256 over the size and the first and last mebibyte of each weight
    file: quick for any size, and different for different weights. The second is one over every byte of
    configuration, tokenizer and chat template.
    """

    name: str
    path: str
    fingerprint: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase

    def is_of(self, fingerprint: str) -> bool:
        """Whether a fingerprint is this model's; one of an older mdkif knew the weights alone."""
        return fingerprint in (self.fingerprint, self.fingerprint.partition("-")[0])

    def told_apart(self, fingerprint: str) -> str:
        """What to add to a sentence about another fingerprint: that the weights, at least, are the same."""
        same = fingerprint.partition("-")[0] == self.fingerprint.partition("-")[0]
        return ", whose weights are the same, but not its configuration, tokenizer or chat template" if same else ""

    @property
    def pad(self) -> int:
        """The token id used for padding; it is masked, so any id does."""
        for token in (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id):
            if isinstance(token, int):
                return token
        return 0


def fingerprint(path: Path, model: Any) -> str:
    """What tells one base model from another: twice 16 hexadecimal digits, of its weights and of all else it reads."""
    weights, rest = hashlib.sha256(), hashlib.sha256()
    files: Sequence[Path] = sorted(path.glob("*.safetensors")) if path.is_dir() else []
    if not files:
        named = f"{model.config._name_or_path}@{getattr(model.config, '_commit_hash', None)}".encode()
        weights.update(named)
        rest.update(named)  # a commit is of all files
    for file in files:
        size = file.stat().st_size
        weights.update(f"{file.name}:{size}".encode())
        with file.open("rb") as data:
            weights.update(data.read(FINGERPRINT_BYTES))
            data.seek(max(0, size - FINGERPRINT_BYTES))
            weights.update(data.read())
    for file in sorted(path / name for name in READ) if path.is_dir() else ():
        if file.is_file():
            rest.update(f"{file.name}:{file.stat().st_size}".encode() + file.read_bytes())
    return f"{weights.hexdigest()[:16]}-{rest.hexdigest()[:16]}"
