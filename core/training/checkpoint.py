"""Unfinished training on disk: everything a later step depends on, in one safetensors file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..errors import BadInput
from ..store.files import atomic_file
from .method import TuningMethod

if TYPE_CHECKING:
    from peft import PeftModel

CHECKPOINT = "checkpoint.safetensors"


def save_checkpoint(
    path: Path, model: PeftModel, optimizer: torch.optim.Optimizer, method: TuningMethod, losses: list[float]
) -> None:
    """Unpruned parameters, optimizer and method state, losses and random state in one safetensors file."""
    from safetensors.torch import save_file

    tensors = {f"model/{n}": p.detach() for n, p in model.named_parameters() if p.requires_grad}
    for i, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{i}/{key}": torch.as_tensor(value) for key, value in state.items()}
    tensors |= {f"method/{key}": value for key, value in method.state(model).items()}
    tensors["losses"] = torch.tensor(losses, dtype=torch.float64)
    tensors["random"] = torch.get_rng_state()
    if accelerator := _accelerator(model):
        tensors["random/accelerator"] = accelerator.get_rng_state()
    with atomic_file(path) as part:
        save_file({key: value.contiguous().clone() for key, value in tensors.items()}, part)


def resume(
    path: Path, model: PeftModel, optimizer: torch.optim.Optimizer, method: TuningMethod
) -> tuple[int, list[float]]:
    """Put everything back as it was; returns the steps done and their losses, none if there is no file.

    Raises BadInput, having changed nothing, for a file that cannot be read or is of another training.
    """
    if not path.exists():
        return 0, []
    own = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    tensors = _checked(path, own, _accelerator(model) is not None)
    state: dict[int, dict[str, torch.Tensor]] = {}
    kept: dict[str, torch.Tensor] = {}
    with torch.no_grad():
        for key, value in tensors.items():
            kind, _, name = key.partition("/")
            if kind == "model":
                own[name].copy_(value)
            elif kind == "optimizer":
                index, _, slot = name.partition("/")
                state.setdefault(int(index), {})[slot] = value
            elif kind == "method":
                kept[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    method.restore(model, kept)
    torch.set_rng_state(tensors["random"])
    if accelerator := _accelerator(model):
        accelerator.set_rng_state(tensors["random/accelerator"])
    losses = tensors["losses"].tolist()
    return len(losses), losses


def _checked(path: Path, own: Mapping[str, torch.Tensor], accelerated: bool) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    try:
        tensors = load_file(path)
    except Exception as error:  # whatever was done to the file
        raise BadInput(f"The checkpoint {path} cannot be read.") from error
    needed = {"losses", "random", *(["random/accelerator"] if accelerated else [])}
    shapes = {key.removeprefix("model/"): value.shape for key, value in tensors.items() if key.startswith("model/")}
    fits = shapes == {name: parameter.shape for name, parameter in own.items()}
    finite = all(bool(value.isfinite().all()) for value in tensors.values() if value.is_floating_point())
    if not (needed <= set(tensors) and fits and finite):
        raise BadInput(f"The checkpoint {path} is none of this training.")
    return tensors


def _accelerator(model: PeftModel) -> Any:
    """PyTorch's module for the model's device, from whose random state dropout draws; None for the processor."""
    device = next(model.parameters()).device
    return None if device.type == "cpu" else torch.get_device_module(device)
