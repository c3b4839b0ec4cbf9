"""Base models: pulled into the store once, or any local path or hub id of a causal language model."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .declarations import BaseModel
from .errors import BadInput, MdkifError
from .plugins import Plugins
from .store import Store, whole_directory

if TYPE_CHECKING:
    import torch
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


def pull(plugins: Plugins, store: Store, name: str) -> Path:
    """Put the base model `name` into the store, unless it is there. Raises BadInput for an unknown name."""
    declared = plugins.get(BaseModel, name)
    directory = store.model(name)
    if not (directory / "config.json").exists():
        with whole_directory(directory) as part:
            declared.load()(part)
    return directory


def load(plugins: Plugins, store: Store, name: str, dtype: str = "auto", device: str = "auto") -> Base:
    """Load a base model by store name, local path or hub id; every parameter is frozen.

    Nothing is fetched from a hub unless `$MDKIF_ONLINE` is set, only safetensors are read and no
    remote code is run. Raises BadInput if there is no such model, MdkifError if it cannot be loaded.
    """
    if os.environ.get("MDKIF_ONLINE") != "1":
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
    names = [declared.name for declared, _ in plugins.all(BaseModel)]
    path = str(pull(plugins, store, name)) if name in names else name
    if not Path(path).exists() and (path.startswith((".", "/", "~")) or "/" not in path):
        raise BadInput(
            f"There is no base model '{name}': give {', '.join(names) or 'an installed model plugin'}, "
            "the folder of a Hugging Face causal language model, or a hub id."
        )
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    chosen = choose_device(device)
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=False)
        model = AutoModelForCausalLM.from_pretrained(
            path, dtype=choose_dtype(dtype, chosen), use_safetensors=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise MdkifError(
            f"The base model '{name}' cannot be loaded from {path} ({reason}): check the folder, or set "
            "MDKIF_ONLINE=1 to let a hub id be fetched."
        ) from error
    frozen: Any = model
    frozen.to(chosen).eval().requires_grad_(False)
    return Base(Path(path).name, path, fingerprint(Path(path), model), frozen, tokenizer)


def choose_device(name: str) -> torch.device:
    """The named device or, for "auto", the first accelerator, else the processor.

    Raises BadInput for a device this machine does not have.
    """
    import torch

    if name != "auto":
        try:
            return torch.empty(0, device=name).device
        except (RuntimeError, AssertionError):
            raise BadInput(f"There is no device '{name}' on this machine: use auto, or cpu.") from None
    return torch.device(torch.accelerator.current_accelerator() or "cpu" if torch.accelerator.is_available() else "cpu")


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """The named dtype or, for "auto", bfloat16 where the hardware multiplies it, else float32.

    A processor without bfloat16 instructions emulates them about two hundred times slower than float32.
    """
    import torch

    if name != "auto":
        found = getattr(torch, name, None)
        if not isinstance(found, torch.dtype):
            raise BadInput(f"There is no dtype '{name}': use auto, float32, bfloat16 or float16.")
        return found
    native = device.type != "cpu" or torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if native else torch.float32


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
