"""Compositions for other tools: one plain LoRA, or a model with the blend in its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..adapters.peft_files import write_lora
from ..adapters.target import resolve
from ..errors import BadInput
from ..store.files import atomic_directory
from ..store.manifest import write_manifest
from ..workspace import Workspace
from .adapter import check_new
from .gguf import check_gguf, write_gguf

FORMATS = ("lora", "merged", "gguf")
LARGE = 0.05  # of an update's norm: from here on what rounding changed is worth a warning


def export(workspace: Workspace, target: str, directory: Path, to: str, quantize: str = "") -> dict[str, Any]:
    """Write a composition (or "skill:NAME") to `directory` as "lora", "merged" or "gguf".

    "lora" is a PEFT adapter of one rank and scale 1 that plain PEFT computes to the same logits;
    "merged" is a Hugging Face model in the base's dtype, "gguf" the one file `model.gguf`, whose matrices
    have the type `quantize` (default f16). Returns what was written and `update_error`, how far it is from
    weights W with the exact update D: ||stored - W - D|| / ||D|| over the modules that D touches. Raises
    BadInput for another format, for a base model that cannot be written as GGUF, or if `directory` already
    holds something else.
    """
    if to not in FORMATS:
        raise BadInput(f"There is no export format '{to}': use one of {', '.join(FORMATS)}.")
    if quantize and to != "gguf":
        raise BadInput(f"An export as {to} is not quantized: use --to gguf with --quantize {quantize}.")
    check_new(directory)
    [chosen] = resolve(workspace, [target])
    bank, weights = chosen.blend()
    base = workspace.base
    if to == "gguf":
        check_gguf(base, quantize or "f16")
    with atomic_directory(directory, private=False) as part:
        if to == "lora":
            updates = bank.fused(weights)
            write_lora(part, updates, base.path)
            facts: dict[str, Any] = {"rank": max(1, *(update.rank for update in updates.values())), "update_error": 0.0}
        elif to == "merged":
            with bank.merged(weights):
                base.model.save_pretrained(str(part))
            base.tokenizer.save_pretrained(str(part))
            facts = {"update_error": bank.merging_error(weights)}
        else:
            title, kind = f"{base.name} {target}", quantize or "f16"
            with bank.merged(weights, rounded=False):
                written = write_gguf(part / "model.gguf", base, title, kind, workspace.progress)
            size = bank.norm(weights)
            facts = {**written.facts, "update_error": written.error(bank.paths) / size if size else 0.0}
        facts |= {
            "composition": target,
            "versions": chosen.versions,
            "base": base.name,
            "fingerprint": base.fingerprint,
            "format": to,
        }
        write_manifest(part, facts)
    _warn(workspace, to, facts["update_error"])
    return {**facts, "directory": str(directory)}


def _warn(workspace: Workspace, to: str, error: float) -> None:
    if error < LARGE:
        return
    remedy = "--to lora keeps it whole" + (", and so does --dtype float32" if to == "merged" else " for PEFT")
    workspace.progress.note(f"Rounding in what was written is {error:.0%} of the update's own size: {remedy}.")
