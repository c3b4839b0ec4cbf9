"""Adapters on disk: PEFT's directories read as exact low-rank updates, and blends written as plain LoRA."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ..contract.explanation import line
from ..errors import BadInput
from ..hashing import is_sha256
from ..store.documents import read_object
from .low_rank import LowRank

if TYPE_CHECKING:
    import torch

WEIGHTS, CONFIG, PREFIX = "adapter_model.safetensors", "adapter_config.json", "base_model.model."
FACTOR = re.compile(r"\.lora_[ABE](\.weight)?$")
EXTRAS = (
    "use_dora",
    "use_qalora",
    "fan_in_fan_out",
    "lora_bias",
    "modules_to_save",
    "layer_replication",
    "trainable_token_indices",
    "target_parameters",
    "alora_invocation_tokens",
    "arrow_config",
    "kasa_config",
    "monteclora_config",
    "use_bdlora",
)

LARGEST_SCALE = 1e30
PATTERNS = ("alpha_pattern", "rank_pattern")
NAMES = ("target_modules", "exclude_modules", "modules_to_save", "layers_pattern")
NAMING = re.compile(r"\^?(?:[\w-]|\\?\.|\.\*|\[\d-\d\]){0,300}\$?")

# Initialisations that also change the base weights, which are then no longer the ones a bank adds to.
SHIFTS_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")


def read_adapter(directory: Path, files: Mapping[str, str] = MappingProxyType({})) -> dict[str, LowRank]:
    """The update of every module, by module path, of an adapter PEFT saved.

    LoRA and rsLoRA fold alpha/r and alpha/sqrt(r), AdaLoRA alpha/(init_r + 1e-5) and its singular
    values, as PEFT computes them. Raises BadInput, naming the adapter, for any other kind, and for a file that has not
    the SHA-256 in `files`: what is hashed is what is read.
    """
    from safetensors.torch import load

    config = read_config(directory)
    check_patterns(config, directory)
    path = directory / WEIGHTS
    try:
        if not path.is_file():  # a pipe would be waited for
            raise FileNotFoundError
        content = path.read_bytes()
        tensors = load(content)
    except Exception as error:
        raise BadInput(f"The adapter weights at {path} cannot be read: train the skill again.") from error
    own = files.get(WEIGHTS, "")
    if not hashlib.sha256(content).hexdigest().startswith(own) or (
        CONFIG in files and not is_sha256(directory / CONFIG, files[CONFIG])
    ):
        raise BadInput(f"The adapter at {directory} is not what its training left: train the skill again.")
    _refuse_others(config, tensors, directory)
    try:
        updates = dict(_updates(config, tensors))
    except KeyError as error:
        raise BadInput(f"The adapter at {directory} lacks {error}: train the skill again.") from None
    except (RuntimeError, IndexError):
        raise BadInput(f"The factors of a module at {directory} do not belong together: save it again.") from None
    modules = {key.removeprefix(PREFIX).partition(".lora_")[0] for key in tensors}
    if lonely := sorted(modules - set(updates)):
        raise BadInput(f"The adapter at {directory} has half of {lonely[0]}: train the skill again.")
    for module, update in updates.items():
        if not update.down.ndim == update.up.ndim == 2 or update.up.shape[1] != update.rank:
            raise BadInput(f"The factors of {line(module, 80)} at {directory} do not belong together: save it again.")
        if not bool(update.down.isfinite().all() & update.up.isfinite().all()):
            raise BadInput(f"The adapter at {directory} is not finite in {line(module, 80)}: train the skill again.")
    return updates


def read_config(directory: Path) -> dict[str, Any]:
    """An adapter's configuration. Raises BadInput for what PEFT does not write."""
    return read_object(directory / CONFIG, "adapter configuration", {})


def check_patterns(config: Mapping[str, Any], directory: Path, names: Sequence[str] = ()) -> None:
    """Raises BadInput where a configuration has a number that is none, or names modules by what could run for ever.

    PEFT takes names of modules for regular expressions. Those of others are never run: a name is a module's path or
    the end of one, in which `.*` stands for any part. `names` are fields that hold such names too.
    """
    place = directory / CONFIG
    scales = {"LORA": ("lora_alpha",), "ADALORA": ("lora_alpha", "init_r")}.get(str(config.get("peft_type")), ())
    numbers = {name: config.get(name) for name in scales}
    for name in PATTERNS:
        pattern = config.get(name) or {}
        if not isinstance(pattern, dict) or not all(map(NAMING.fullmatch, pattern)):
            raise BadInput(f"The {name} of {place} is nothing that PEFT writes: name the modules plainly.")
        numbers |= {f"{name} of {each}": value for each, value in pattern.items()} if name == "alpha_pattern" else {}
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < LARGEST_SCALE:
            raise BadInput(f"The number {line(name, 60)} of {place} is no finite number: save it again.")
    for name in names:
        value = config.get(name) or []
        each = [value] if isinstance(value, str) else value
        if not isinstance(each, list) or not all(isinstance(one, str) and NAMING.fullmatch(one) for one in each):
            raise BadInput(f"The {name} of {place} is nothing that PEFT writes: name the modules plainly.")


def is_low_rank(directory: Path) -> bool:
    """Whether an adapter's configuration is of a kind that `read_adapter` reads."""
    config = read_config(directory)
    plain = config.get("bias", "none") == "none" and not any(config.get(name) for name in EXTRAS)
    return plain and config.get("peft_type") in ("LORA", "ADALORA")


def _updates(config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> Iterator[tuple[str, LowRank]]:
    for key, down in tensors.items():
        module, _, kind = key.removeprefix(PREFIX).partition(".lora_")
        if not kind.startswith("A"):
            continue
        suffix = kind.removeprefix("A")
        up = tensors[f"{PREFIX}{module}.lora_B{suffix}"].float()
        values = tensors.get(f"{PREFIX}{module}.lora_E")
        scaled = down.float() if values is None else down.float() * values.float()
        yield module, LowRank(scaled * _scale(config, module, down.shape[0]), up)


def write_lora(directory: Path, updates: Mapping[str, LowRank], base: str) -> None:
    """Write updates as a plain LoRA every runtime computes alike: one rank for all modules, scale 1.

    Ranks are padded with zeros to the largest, so `lora_alpha = r` holds for PEFT, vLLM and llama.cpp.
    Only files are written; the caller makes `directory` appear whole.
    """
    import torch
    from safetensors.torch import save_file

    rank = max(1, *(update.rank for update in updates.values()))
    tensors: dict[str, torch.Tensor] = {}
    for module, update in updates.items():
        down = torch.zeros(rank, update.down.shape[1])
        up = torch.zeros(update.up.shape[0], rank)
        down[: update.rank], up[:, : update.rank] = update.down, update.up
        tensors[f"{PREFIX}{module}.lora_A.weight"] = down
        tensors[f"{PREFIX}{module}.lora_B.weight"] = up
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": rank,
        "lora_alpha": rank,
        "lora_dropout": 0.0,
        "bias": "none",
        "inference_mode": True,
        "target_modules": sorted({module.rpartition(".")[2] for module in updates}),
    }
    save_file(tensors, directory / WEIGHTS)
    (directory / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _refuse_others(config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor], directory: Path) -> None:
    kind, start = config.get("peft_type"), config.get("init_lora_weights")
    extras = [name for name in EXTRAS if config.get(name)]
    if config.get("bias", "none") != "none":
        extras.append("bias")
    if isinstance(start, str) and start.startswith(SHIFTS_BASE):
        extras.append(f"init_lora_weights {start}")
    extras += [f"the tensor {key}" for key in tensors if not FACTOR.search(key)][:1]
    extras += [f"{value.dtype} in {key}" for key, value in tensors.items() if not value.is_floating_point()][:1]
    if kind not in ("LORA", "ADALORA") or extras:
        what = f"peft_type {kind}" + (f" with {', '.join(extras)}" if extras else "")
        raise BadInput(
            f"The adapter at {directory} has {what}: only LoRA, rsLoRA and AdaLoRA updates are sums of low-rank terms."
        )
    if kind == "ADALORA" and config.get("lora_alpha", 0) <= 0:
        raise BadInput(
            f"The adapter at {directory} has lora_alpha {config.get('lora_alpha')}: its scale is lost on reload."
        )


def _scale(config: Mapping[str, Any], module: str, rank: int) -> float:
    """PEFT's factor in front of B A, which AdaLoRA keeps at its initial rank whatever was pruned."""
    if config["peft_type"] == "ADALORA":
        return float(config["lora_alpha"]) / (float(config["init_r"]) + 1e-5)
    patterns = (config.get("alpha_pattern") or {}).items()
    alpha = float(next((a for name, a in patterns if _names(name, module)), config["lora_alpha"]))
    return alpha / math.sqrt(rank) if config.get("use_rslora") else alpha / max(1, rank)


def _names(name: str, module: str) -> bool:
    """Whether a name that `check_patterns` lets pass means a module: all of its path, or an end of it."""
    anchored = name.startswith("^")
    glob = name.removeprefix("^").removesuffix("$").replace("\\.", ".").replace(".*", "*")
    glob = re.sub(r"\[(\d)-(\d)\]", r"[\1-\2]", glob)
    return fnmatchcase(module, glob) or (not anchored and fnmatchcase(module, f"*.{glob}"))
