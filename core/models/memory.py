"""What a model's work holds in memory: its weights, the most a process has held, and activations that are not kept."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from ..errors import BadInput

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def weight_bytes(model: torch.nn.Module) -> int:
    """Bytes of a model's parameters and buffers; tied ones count once."""
    return sum(each.nbytes for each in [*model.parameters(), *model.buffers()])


def peak_bytes(device: torch.device) -> int:
    """The most memory held since `forget_peak`: on a processor by the process, else allocated on the device."""
    if device.type != "cpu":
        return int(torch.accelerator.max_memory_allocated(device))
    if STATUS.exists():  # Linux starts a process's ru_maxrss at what its parent held
        return _kibibytes("VmHWM") << 10
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << (0 if sys.platform == "darwin" else 10)


def held_bytes(device: torch.device) -> int:
    """The memory held now; where the system does not say, the most held so far."""
    if device.type != "cpu":
        return int(torch.accelerator.memory_allocated(device))
    return _kibibytes("VmRSS") << 10 if STATUS.exists() else peak_bytes(device)


def forget_peak(device: torch.device) -> None:
    """Let `peak_bytes` begin anew, where the system can."""
    if device.type != "cpu":
        torch.accelerator.reset_peak_memory_stats(device)
        return
    with suppress(OSError):
        RESET.write_text("5", encoding="ascii")


@contextmanager
def recomputed(model: Any) -> Iterator[None]:
    """Within the block a layer's activations are computed again for the backward pass instead of being kept.

    Raises BadInput for a model that cannot.
    """
    if not model.supports_gradient_checkpointing:
        raise BadInput(f"{type(model).__name__} cannot recompute activations: set gradient_checkpointing=no.")
    named = (
        "activation" if hasattr(model, "activation_checkpointing_enable") else "gradient"
    )  # the one name in old versions, the other in new ones
    getattr(model, f"{named}_checkpointing_enable")(**{f"{named}_checkpointing_kwargs": {"use_reentrant": False}})
    model.disable_input_require_grads()  # which only the reentrant way needs, and which leaves a hook behind
    try:
        yield
    finally:
        getattr(model, f"{named}_checkpointing_disable")()


def _kibibytes(field: str) -> int:
    [held] = [line.split()[1] for line in STATUS.read_text("ascii").splitlines() if line.startswith(f"{field}:")]
    return int(held)
