"""Where a model runs and in which numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import BadInput

if TYPE_CHECKING:
    import torch


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
