"""Compositions: named blends of trained skills, in the store as one JSON file each, with all their versions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadInput, unknown
from ..hashing import json_digest
from ..models.base import Base
from ..store.documents import read_json, write_json
from .artifact import Artifact

if TYPE_CHECKING:
    import torch

    from .bank import SkillBank

Weights = float | dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Composition:
    """Weights of skills on one base model, and where they came from.

    `weights` maps each skill to its weight or, for a finer granularity, to the weight in each layer
    or module. `adapters` holds the version of every skill, `origin` how the weights were found, `learnt` the
    hashes of the records they were found on (`Learnt.as_json`).
    """

    name: str
    base: str
    fingerprint: str
    weights: Mapping[str, Weights]
    adapters: Mapping[str, str]
    granularity: str = "skill"
    origin: Mapping[str, Any] = field(default_factory=dict)
    learnt: Mapping[str, str] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """What tells it from another of its name: a hash of what it computes."""
        return json_digest([self.fingerprint, self.weights, self.adapters, self.granularity])

    @property
    def references(self) -> list[str]:
        """Its skills, each with the version it was made of."""
        return [f"{name}@{version}" for name, version in self.adapters.items()]

    def check(self, base: Base) -> None:
        """Raises BadInput if it was made on another base model."""
        if self.fingerprint != base.fingerprint:
            raise BadInput(
                f"The composition '{self.name}' belongs to '{self.base}' ({self.fingerprint}), "
                f"not to this '{base.name}'."
            )

    def tensor(self, bank: SkillBank) -> torch.Tensor:
        """The weights in the order and shape of a bank of the same skills, float32."""
        import torch

        rows = [self.weights[name] for name in bank.names]
        if self.granularity == "skill":
            return torch.tensor([float(w) for w in rows if not isinstance(w, dict)])
        return torch.tensor([[w[group] for w in rows if isinstance(w, dict)] for group in bank.group_names])

    def summary(self) -> dict[str, float]:
        """One weight per skill: the mean over groups where there are several."""
        return {n: sum(w.values()) / len(w) if isinstance(w, dict) else float(w) for n, w in self.weights.items()}


def build(
    name: str,
    base: Base,
    artifacts: Mapping[str, Artifact],
    bank: SkillBank,
    weights: torch.Tensor,
    origin: Mapping[str, Any],
    learnt: Mapping[str, str] | None = None,
) -> Composition:
    """A composition of a bank's skills with weights of the bank's shape. Raises BadInput for a name it cannot have."""
    named: dict[str, Weights] = {}
    for i, skill in enumerate(bank.names):
        column = weights[..., i].tolist()
        named[skill] = column if isinstance(column, float) else dict(zip(bank.group_names, column, strict=True))
    return Composition(
        name=validate_name(name),
        base=base.name,
        fingerprint=base.fingerprint,
        weights=named,
        adapters={skill: artifacts[skill].version for skill in bank.names},
        granularity=bank.granularity,
        origin=origin,
        learnt=learnt or {},
    )


def save(made: Composition, folder: Path, replace: bool = False) -> Path | None:
    """Write a composition into the folder of its base's.

    One of that name which computes something else is kept as "NAME@VERSION", unless `replace` is true. Returns
    where it was put.
    """
    path, kept = folder / f"{made.name}.json", None
    if path.exists() and not replace:
        try:
            older = read(path)
        except BadInput:  # nothing that could be used again
            older = made
        if older.version != made.version:
            kept = folder / f"{made.name}@{older.version}.json"
            write_json(kept, asdict(older))
    write_json(path, asdict(made))
    return kept


def load(reference: str, folder: Path) -> Composition:
    """A composition of a folder by "NAME" or "NAME@VERSION". Raises BadInput for an unknown one."""
    name, _, version = reference.partition("@")
    files = {path.stem: path for path in sorted(folder.glob("[!.]*.json"))}
    made = read(files[reference]) if reference in files else None
    if made is None and version and name in files:
        newest = read(files[name])
        made = newest if newest.version.startswith(version) else None
    if made is None:
        raise unknown("composition", reference, files, "Make one with 'mdkif adapt'.")
    return made


def read(path: Path) -> Composition:
    """A composition's file. Raises BadInput if it is none."""
    try:
        made = Composition(**read_json(path, "composition"))
        if all(map(math.isfinite, made.summary().values())):
            return made
    except (TypeError, ValueError, AttributeError, ZeroDivisionError):
        pass
    raise BadInput(f"{path} is not a composition of mdkif with finite weights: adapt or compose it again.")


def validate_name(name: str) -> str:
    """The name, if a composition can have it. Raises BadInput if not."""
    wrong = not name or name == "base" or name.startswith(("skill:", ".")) or set(name) & set("/\\@")
    if wrong or not name.isprintable():
        raise BadInput(f"A composition cannot be named '{name}': use letters, digits and hyphens, and not 'base'.")
    return name
