"""Which process a thing on disk belongs to, and whether that process is gone."""

from __future__ import annotations

import hashlib
import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """A process of a machine: a hash of the machine's name and of the process namespace, id, and start.

    The start, in the system's ticks, tells it from a later process of the same id; it is 0 where the system
    does not say.
    """

    host: str
    pid: int
    start: int

    def __str__(self) -> str:
        return f"{self.host}-{self.pid}-{self.start}"

    @property
    def here(self) -> bool:
        """Whether it is, or was, one of this machine, so that `gone` knows."""
        return self.host == _host()

    @property
    def gone(self) -> bool:
        """Whether it has ended; of another machine's nobody knows, and the answer is no."""
        if not self.here:
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except (PermissionError, OverflowError, OSError):
            return False
        return bool(self.start and _start(self.pid) not in (0, self.start))


def this_process() -> Process:
    """The process that asks, which may be a fork of the one that asked before."""
    return Process(_host(), os.getpid(), _start(os.getpid()))


@cache
def _host() -> str:
    namespace = ""
    with suppress(OSError):  # two containers may have one name, and ids of their own
        namespace = str(Path("/proc/self/ns/pid").readlink())
    return hashlib.sha256(f"{socket.gethostname()} {namespace}".encode()).hexdigest()[:8]


def _start(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return 0
