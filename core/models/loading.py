"""Base models: put into the store once, and loaded frozen, offline, from safetensors."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..contract.catalogue import entry_of
from ..contract.declarations import BaseModel
from ..contract.discovery import Plugins
from ..errors import BadInput, MdkifError
from ..store.files import atomic_directory
from ..store.layout import Store
from .base import Base, fingerprint
from .devices import choose_device, choose_dtype


def pull(plugins: Plugins, store: Store, name: str) -> Path:
    """Put the base model `name` into the store, unless it is there. Raises BadInput for an unknown name."""
    declared = plugins.get(BaseModel, name)
    directory = store.model(name)
    if not (directory / "config.json").exists():
        with atomic_directory(directory) as part:
            declared.load()(part)
    return directory


def label(name: str) -> str:
    """What a base model is called in the store: its name, or its folder's."""
    return Path(name).name


def load(plugins: Plugins, store: Store, name: str, dtype: str | None = None, device: str = "auto") -> Base:
    """Load a base model by store name, local path or hub id; every parameter is frozen.

    Nothing is fetched from a hub unless `$MDKIF_ONLINE` is set, only safetensors are read and no
    remote code is run. Raises BadInput if there is no such model, MdkifError if it cannot be loaded.
    """
    if os.environ.get("MDKIF_ONLINE") != "1":
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
    names = [declared.name for declared, _ in plugins.all(BaseModel)]
    offered = name in names or (entry_of(BaseModel.kind, name) is not None and not Path(name).exists())
    path = str(pull(plugins, store, name)) if offered else name
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
    return Base(label(path), path, fingerprint(Path(path), model), frozen, tokenizer)
