"""Compositions for other tools: one plain LoRA, or a model with the blend in its weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..adapters.peft_files import write_lora
from ..adapters.target import resolve
from ..errors import BadInput
from ..store.files import atomic_directory
from ..workspace import Workspace
from .adapter import check_new
from .gguf import check_gguf, write_gguf

if TYPE_CHECKING:
    import torch

    from ..adapters.bank import SkillBank

FORMATS = ("lora", "merged", "gguf")


def export(workspace: Workspace, target: str, directory: Path, to: str, quantize: str = "") -> dict[str, Any]:
    """Write a composition (or "skill:NAME") to `directory` as "lora", "merged" or "gguf".

    "lora" is a PEFT adapter of one rank and scale 1 that plain PEFT computes to the same logits;
    "merged" is a Hugging Face model, "gguf" the same model in the one file `model.gguf`, whose matrices
    have the type `quantize` (default f16). Returns what was written and, for the last two, the relative
    error ||W_cast - W|| / ||W|| of casting the merged weights to the base's dtype. Raises BadInput for
    another format, for a base model that cannot be written as GGUF, or if `directory` already holds
    something else.
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
    with atomic_directory(directory) as part:
        if to == "lora":
            updates = bank.fused(weights)
            write_lora(part, updates, base.path)
            facts: dict[str, Any] = {"rank": max(1, *(update.rank for update in updates.values()))}
        else:
            facts = {"cast_error": _cast_error(workspace, bank, weights)}
            with bank.merged(weights):
                if to == "gguf":
                    title, kind = f"{base.name} {target}", quantize or "f16"
                    facts |= write_gguf(part / "model.gguf", base, title, kind, workspace.progress)
                else:
                    base.model.save_pretrained(str(part))
                    base.tokenizer.save_pretrained(str(part))
        facts |= {
            "composition": target,
            "versions": chosen.versions,
            "base": base.name,
            "fingerprint": base.fingerprint,
            "format": to,
        }
        (part / "mdkif.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return {**facts, "directory": str(directory)}


def _cast_error(workspace: Workspace, bank: SkillBank, weights: torch.Tensor) -> float:
    modules = dict(workspace.base.model.named_modules())
    error = size = 0.0
    for path in bank.paths:
        weight: Any = modules[path].weight
        exact = weight.float() + bank.delta(path, weights)
        error += float((exact.to(weight.dtype).float() - exact).square().sum())
        size += float(exact.square().sum())
    return float((error / size) ** 0.5)
