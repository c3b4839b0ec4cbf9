"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import MdkifError


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that replaces it only if the block succeeds.

    From its first byte nobody but its owner can read it, nor enter a folder made for it. Raises MdkifError, naming
    the file, if the disk refuses.
    """
    with _refused(path):
        _make_private(path.parent)
        part = path.with_name(f".{path.stem}-{os.urandom(16).hex()}{path.suffix}")
        try:
            part.touch(mode=0o600, exist_ok=False)
            yield part
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def atomic_directory(
    path: Path, keep_as: Callable[[], Path | None] | None = None, private: bool = True
) -> Iterator[Path]:
    """Yield a temporary directory beside `path` that replaces it only if the block succeeds.

    When it lies ready, `keep_as` is asked where the old one is to be kept; without it, or for None, it is removed.
    Nobody but its owner can enter one that is `private`; another, made to be passed on, is as the umask says. Raises
    MdkifError, naming the directory, if the disk refuses.
    """
    with _refused(path):
        _make_private(path.parent)
        part = path.with_name(f".{path.name}-{os.urandom(16).hex()}")
        unwanted = old = part.with_name(part.name + "-old")
        try:
            part.mkdir(mode=0o700 if private else 0o777)
            yield part
            old = (keep_as() if keep_as else None) or unwanted
            if path.exists():
                path.replace(old)
            part.replace(path)
        finally:
            if old.exists() and not path.exists():
                old.replace(path)
            shutil.rmtree(part, ignore_errors=True)
            shutil.rmtree(unwanted, ignore_errors=True)


def _make_private(folder: Path) -> None:
    """Make a folder and those it lies in, where they are missing, for the owner alone."""
    if not folder.is_dir():
        _make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


@contextmanager
def _refused(path: Path) -> Iterator[None]:
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
