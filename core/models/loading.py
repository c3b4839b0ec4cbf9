"""Base models: put into the store once, and loaded frozen, offline, from safetensors."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..contract.catalogue import entry_of
from ..contract.declarations import BaseModel
from ..contract.discovery import Plugins
from ..errors import BadInput, MdkifError
from ..store.files import atomic_directory, refused
from ..store.layout import Store, is_name
from ..store.leftovers import set_aside
from ..store.locks import locked
from ..store.manifest import problem, write_manifest
from .base import Base, fingerprint
from .devices import choose_device, choose_dtype


def pull(plugins: Plugins, store: Store, name: str, say: Callable[[str], None] = lambda _: None) -> Path:
    """Put the base model `name` into the store, unless it is there and whole; what is not is set aside, and that said.

    Raises BadInput for an unknown name.
    """
    declared = plugins.get(BaseModel, name)
    directory = store.model(name)
    if not _wrong(directory):
        return directory
    with refused(directory), locked(directory, say):
        if directory.exists() and (wrong := _wrong(directory)):
            say(
                f"The base model '{name}' is made again, for {wrong}; it is kept at {set_aside(directory, store.root)}."
            )
        if not directory.exists():
            with atomic_directory(directory) as part:
                declared.load()(part)
                write_manifest(part, {"model": name})
    return directory


def _wrong(directory: Path) -> str:
    return problem(directory) if (directory / "config.json").exists() else f"{directory} has no model"


def label(name: str) -> str:
    """What a base model is called in the store: its name, or its folder's. Raises BadInput for what has no name."""
    own = Path(name).name
    own = Path(name).resolve().name if own in ("", "..") else own
    if not is_name(own):
        raise BadInput(f"The base model '{name}' has no name that a folder can have: give another to its folder.")
    return own


def load(
    plugins: Plugins,
    store: Store,
    name: str,
    dtype: str | None = None,
    device: str = "auto",
    say: Callable[[str], None] = lambda _: None,
) -> Base:
    """Load a base model by store name, local path or hub id; every parameter is frozen.

    Nothing is fetched from a hub unless `$MDKIF_ONLINE` is set, only safetensors are read and no
    remote code is run. Raises BadInput if there is no such model, MdkifError if it cannot be loaded.
    """
    if os.environ.get("MDKIF_ONLINE") != "1":
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
    names = [declared.name for declared, _ in plugins.all(BaseModel)]
    offered = name in names or (entry_of(BaseModel.kind, name) is not None and not Path(name).exists())
    path = str(pull(plugins, store, name, say)) if offered else name
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
