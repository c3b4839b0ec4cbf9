"""What a killed process left half-written: named so that it tells whose it is, and taken away by whoever finds it."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from .processes import Process, this_process

NAMED = re.compile(r"\.(?P<name>.+?)-(?:(?P<host>[0-9a-f]{8})-(?P<pid>\d+)-(?P<start>\d+)-[0-9a-f]{16}|[0-9a-f]{32})"
                   r"(?P<old>-old)?(?P<suffix>\.[^.]*)?")  # fmt: skip
OLD = "-old"
FOREIGN = 24 * 3600
"""Seconds without a change after which a part of another machine's process, or of an older mdkif's, is given up."""


def part_of(path: Path, directory: bool = False) -> Path:
    """A new name beside `path` for what is to become it; it says which process it belongs to."""
    stem, suffix = (path.name, "") if directory else (path.stem, path.suffix)
    return path.with_name(f".{stem}-{this_process()}-{os.urandom(8).hex()}{suffix}")


def leftovers(folder: Path) -> Iterator[Path]:
    """What is half-written in a folder, and whose process is gone."""
    for path in sorted(folder.glob(".*-*")):
        found = NAMED.fullmatch(path.name)
        if found is None:
            continue
        owner = Process(found["host"], int(found["pid"]), int(found["start"])) if found["host"] else None
        if owner.gone if owner is not None and owner.here else time.time() - _touched(path) > FOREIGN:
            yield path


def sweep(folder: Path) -> list[Path]:
    """Take away what was left in a folder; returns what it was.

    An old directory that was moved out of the way, and whose place is empty, is put back there.
    """
    swept = []
    for path in leftovers(folder):
        found = NAMED.fullmatch(path.name)
        with suppress(OSError):  # somebody else may be as quick
            place = folder / str(found and found["name"])
            if found and found["old"] and path.is_dir() and not place.exists():
                path.rename(place)
            elif path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
            swept.append(path)
    return swept


def set_aside(path: Path, root: Path) -> Path:
    """Move something broken out of the way, to the same place under `root`/set-aside; returns where it is now."""
    kept = root / "set-aside" / path.relative_to(root)
    while kept.exists():
        kept = kept.with_name(f"{path.name}-{os.urandom(4).hex()}")
    kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.rename(kept)
    return kept


def _touched(path: Path) -> float:
    times = []
    for each in (path, *(path.rglob("*") if path.is_dir() else ())):
        with suppress(OSError):
            times.append(each.lstat().st_mtime)
    return max(times, default=0.0)
