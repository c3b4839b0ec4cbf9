"""How much memory this process holds, and has held."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak() -> float:
    """The most memory this process has held since `forget_peak`, in MiB."""
    if STATUS.exists():  # Linux starts a process's ru_maxrss at what its parent held
        return _mebibytes("VmHWM")
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def held() -> float:
    """The memory it holds now, in MiB; where the system does not say, the most it has held."""
    return _mebibytes("VmRSS") if STATUS.exists() else peak()


def forget_peak() -> None:
    """Let `peak` begin anew, where the system can."""
    with suppress(OSError):
        RESET.write_text("5", encoding="ascii")


def _mebibytes(field: str) -> float:
    [found] = [line.split()[1] for line in STATUS.read_text("ascii").splitlines() if line.startswith(f"{field}:")]
    return int(found) / (1 << 10)
