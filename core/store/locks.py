"""Locks of models, skills, runs and compositions: held by the system for a process, so none outlives it.

A lock is `flock` on a hidden file beside what it guards. The kernel lets go of it when its process ends, even by
SIGKILL; the file says who holds it. Linux passes it on to NFS servers. Where a system or a folder has no such locks,
work goes on without: what is written still appears whole, and the last to write wins. Readers never ask for one.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from .files import make_private, refused

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

UNKNOWN = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


@dataclass(frozen=True)
class Holder:
    """Who holds a lock: process, machine, and since when, in seconds since 1970."""

    pid: int
    host: str
    since: float

    def __str__(self) -> str:
        age = max(0, round(time.time() - self.since))
        return f"process {self.pid} on {self.host}, for {f'{age} s' if age < 120 else f'{age // 60} min'}"


@contextmanager
def locked(path: Path, say: Callable[[str], None] = lambda _: None) -> Iterator[None]:
    """Within the block no other process is in a block for the same `path`, which need not exist.

    Whoever has to wait says for whom. Raises MdkifError, naming `path`, if the disk refuses.
    """
    with refused(path):
        file = None if fcntl is None else _taken(lock_file(path), say)
    try:
        yield
    finally:
        if file is not None:
            with suppress(OSError):
                lock_file(path).unlink()  # while it is held, so that nobody else's goes
            os.close(file)


def lock_file(path: Path) -> Path:
    """Where the lock of a thing lies."""
    return path.with_name(f".{path.name}.lock")


def holder(file: Path) -> Holder | None:
    """Who holds a lock; None for one that nobody holds, though its file was left."""
    with suppress(OSError):
        handle = os.open(file, os.O_RDWR)
        try:
            if fcntl is None or _locks(handle, wait=False):
                return None
            return _read(file)
        finally:
            os.close(handle)
    return None


def _taken(file: Path, say: Callable[[str], None]) -> int | None:
    """The lock's file, open and locked; None where there are no locks."""
    while True:
        make_private(file.parent)
        handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if not _locks(handle, wait=False):
                say(
                    f"Waiting for {_read(file) or 'another process'}, at work on {file.name[1:].removesuffix('.lock')}."
                )
                _locks(handle, wait=True)
            if _is_there(file, handle):
                os.ftruncate(handle, 0)
                me = Holder(os.getpid(), socket.gethostname(), time.time())
                os.write(handle, json.dumps(asdict(me)).encode())
                return handle
        except OSError as error:
            os.close(handle)
            if error.errno in UNKNOWN:
                file.unlink(missing_ok=True)
                return None
            raise
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _is_there(file: Path, handle: int) -> bool:
    """Whether an open file still has its name: who held the lock before takes the file away."""
    with suppress(FileNotFoundError):
        return os.path.samestat(file.stat(), os.fstat(handle))
    return False


def _locks(handle: int, wait: bool) -> bool:
    """Whether the lock was taken; false for one that another process holds, unless it is waited for."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def _read(file: Path) -> Holder | None:
    try:
        return Holder(**json.loads(file.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None
