"""Files and folders that appear whole or not at all, on the disk and not in memory alone."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import MdkifError
from .leftovers import OLD, part_of, sweep


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that replaces it only if the block succeeds.

    From its first byte nobody but its owner can read it, nor enter a folder made for it. Raises MdkifError, naming
    the file, if the disk refuses.
    """
    with refused(path):
        make_private(path.parent)
        sweep(path.parent)
        part = part_of(path)
        try:
            part.touch(mode=0o600, exist_ok=False)
            yield part
            settle(part)
            part.replace(path)
            settle(path.parent, alone=True)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def atomic_directory(path: Path, private: bool = True) -> Iterator[Path]:
    """Yield a temporary directory beside `path` that replaces it only if the block succeeds.

    Nobody but its owner can enter one that is `private`; another, made to be passed on, is as the umask says. Raises
    MdkifError, naming the directory, if the disk refuses.
    """
    with part_directory(path, private) as part:
        yield part
        settle(part)
        old = part.with_name(part.name + OLD)
        try:
            if path.exists():
                path.replace(old)
            part.replace(path)
            settle(path.parent, alone=True)
        finally:
            if old.exists() and not path.exists():
                old.replace(path)
            shutil.rmtree(old, ignore_errors=True)


@contextmanager
def part_directory(path: Path, private: bool = True) -> Iterator[Path]:
    """Yield a temporary directory beside `path`, which is gone after the block unless the block moved it.

    Raises MdkifError, naming `path`, if the disk refuses.
    """
    with refused(path):
        make_private(path.parent)
        sweep(path.parent)
        part = part_of(path, directory=True)
        try:
            part.mkdir(mode=0o700 if private else 0o777)
            yield part
        finally:
            shutil.rmtree(part, ignore_errors=True)


def settle(path: Path, alone: bool = False) -> None:
    """Wait until a file, or a folder with all that is in it, is on the disk; `alone`, only the folder's list of names.

    A rename may reach the disk before what was renamed: after a power cut a whole file would be an empty one.
    """
    for each in (path, *(path.rglob("*") if path.is_dir() and not alone else ())):
        if os.name == "nt" and each.is_dir():
            continue
        handle = os.open(each, os.O_RDONLY)
        try:
            os.fsync(handle)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system that knows no such thing
                raise
        finally:
            os.close(handle)


def make_private(folder: Path) -> None:
    """Make a folder and those it lies in, where they are missing, for the owner alone."""
    if not folder.is_dir():
        make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


@contextmanager
def refused(path: Path) -> Iterator[None]:
    """What the disk refuses within the block is a MdkifError that names `path`."""
    try:
        yield
    except Exception as error:
        reason = _refusal(error)
        if reason is None:
            raise
        raise MdkifError(
            f"{path} could not be written ({reason}): nothing before it was lost; "
            "free space or choose another place and run the command again."
        ) from error


def _refusal(error: Exception) -> str | None:
    """What the operating system said, whether Python or safetensors passes it on; None for other errors."""
    if isinstance(error, OSError):
        return None if error.filename is None and error.errno is None else error.strerror
    said = re.search(r"I/O error: (.*) \(os error", str(error))
    return said[1] if said and type(error).__name__ == "SafetensorError" else None
