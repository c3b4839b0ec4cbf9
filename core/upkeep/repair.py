"""What is broken is set aside, so that it can be made again, and what was left half-written is taken away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..store.layout import Store
from ..store.leftovers import leftovers, set_aside, sweep
from ..store.locks import Holder, holder, lock_file, locked
from .holdings import Holding, holdings


def broken(store: Store) -> list[Holding]:
    """What the store holds and cannot be read."""
    return [each for each in holdings(store) if each.wrong]


def repair(store: Store) -> Iterator[tuple[str, str]]:
    """Set aside what is broken and take away what was left; yields what was done, each as a thing and a sentence.

    Nothing that can be read is touched, and what is set aside is kept, under `set-aside` in the store.
    """
    for each in broken(store):
        if holder(lock_file(each.path)) is None:
            kept = set_aside(each.path, store.root)
            yield f"{each.kind} {each.name}", f"set aside at {kept}; '{each.remedy}' makes it again"
    for folder in _folders(store):
        for path in sweep(folder):
            yield "leftover", f"{path} is gone"
    for file, by in locks(store):
        if by is None:
            with locked(file.with_name(file.name[1:].removesuffix(".lock"))):
                yield "lock", f"{file} was held by a process that is gone"


def left(store: Store) -> list[Path]:
    """What killed processes left half-written."""
    return [path for folder in _folders(store) for path in leftovers(folder)]


def locks(store: Store) -> list[tuple[Path, Holder | None]]:
    """The locks of a store and who holds each; None where the holder is gone."""
    return [(file, holder(file)) for folder in _folders(store) for file in sorted(folder.glob(".*.lock"))]


def _folders(store: Store) -> list[Path]:
    """Every folder of a store in which something may be half-written."""
    found = [store.root, *(store.root / name for name in ("models", "runs", "reports", "compositions", "skills"))]
    found += [each for pattern in ("runs/*", "compositions/*", "skills/*") for each in store.root.glob(pattern)]
    return [folder for folder in found if folder.is_dir()]
