"""The catalogue: every skill, task, data set and algorithm that is known, whether it is installed or not."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

LISTENER = "listener"
"""The kind of a plugin that declares nothing and only follows the work."""
CATALOGUE = Path(__file__).resolve().parents[2] / "skills_registry.toml"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One known thing: `dist` is the distribution to install for it, unless that is only `planned`.

    `dataset` is the data set of a skill or task; `access` says how its data or weights are obtained.
    """

    kind: str
    name: str
    title: str
    dist: str
    dataset: str = ""
    access: str = ""
    planned: bool = False


@lru_cache
def catalogue() -> tuple[Entry, ...]:
    """Everything known, in the order of `skills_registry.toml`; skills and tasks share their data set's access."""
    with CATALOGUE.open("rb") as file:
        tables: dict[str, dict[str, dict[str, Any]]] = tomllib.load(file)
    datasets = tables["dataset"]

    def entry(kind: str, name: str, facts: dict[str, Any]) -> Entry:
        access = {"access": datasets[facts["dataset"]]["access"]} if "dataset" in facts else {}
        return Entry(kind=kind, name=name, **access, **facts)

    return tuple(entry(kind, name, facts) for kind, named in tables.items() for name, facts in named.items())


def entry_of(kind: str, name: str) -> Entry | None:
    """What the catalogue knows by that kind and name."""
    return next((entry for entry in catalogue() if (entry.kind, entry.name) == (kind, name)), None)


def owners() -> frozenset[str]:
    """The distributions that the catalogue names: their claim to a name goes before any other's."""
    return frozenset(entry.dist for entry in catalogue())
