"""Where a model runs and in which numbers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..errors import BadInput

if TYPE_CHECKING:
    import torch

DTYPES = ("float32", "bfloat16", "float16")


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


def choose_dtype(name: str | None, device: torch.device) -> torch.dtype:
    """The named dtype, by default `$MDKIF_DTYPE` or "auto": bfloat16 where the hardware multiplies it, else float32.

    A processor without bfloat16 instructions emulates them about two hundred times slower than float32.
    Raises BadInput for any other name.
    """
    import torch

    wanted = name or os.environ.get("MDKIF_DTYPE") or "auto"
    if wanted == "auto":
        native = device.type != "cpu" or torch.cpu._is_avx512_bf16_supported()
        return torch.bfloat16 if native else torch.float32
    if wanted not in DTYPES:
        place = "--dtype" if name else "$MDKIF_DTYPE"
        raise BadInput(f"There is no dtype '{wanted}' for {place}: use auto, {', '.join(DTYPES[:-1])} or {DTYPES[-1]}.")
    found: torch.dtype = getattr(torch, wanted)
    return found
