"""Compositions: named blends of trained skills, in the store as one JSON file each, with all their versions.

One that was tuned has a residual beside its file: a LoRA in safetensors, named by a hash of what is in it.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadInput, unknown
from ..hashing import digest, json_digest
from ..models.base import Base
from ..store.documents import read_object, write_json
from ..store.files import atomic_file
from ..store.layout import is_name
from ..store.locks import locked
from .artifact import Artifact
from .low_rank import LowRank

if TYPE_CHECKING:
    import torch

    from .bank import SkillBank

Weights = float | dict[str, float]
PREFIXES = ("skill:", "untuned:", "baseline:", ".")
RESIDUAL = "+residual"
"""What a composition's residual is called in a bank; no skill can have that name."""
NEEDED = {"name": str, "base": str, "fingerprint": str, "weights": dict, "adapters": dict}
OPTIONAL = {"granularity": str, "origin": dict, "learnt": dict, "residual": str}
LARGEST = 1e30
GRANULARITIES = ("skill", "layer", "module")


@dataclass(frozen=True, kw_only=True)
class Composition:
    """Weights of skills on one base model, and where they came from.

    `weights` maps each skill to its weight or, for a finer granularity, to the weight in each layer
    or module. `adapters` holds the version of every skill, `origin` how the weights were found, `learnt` the
    hashes of the records they were found on (`Learnt.as_json`). `residual` names the LoRA that was tuned on top of the
    blend, and is empty where there is none.
    """

    name: str
    base: str
    fingerprint: str
    weights: Mapping[str, Weights]
    adapters: Mapping[str, str]
    granularity: str = "skill"
    origin: Mapping[str, Any] = field(default_factory=dict)
    learnt: Mapping[str, str] = field(default_factory=dict)
    residual: str = ""

    @property
    def version(self) -> str:
        """What tells it from another of its name: a hash of what it computes."""
        computed = [self.fingerprint, self.weights, self.adapters, self.granularity]
        return json_digest([*computed, self.residual] if self.residual else computed)

    @property
    def references(self) -> list[str]:
        """Its skills, each with the version it was made of."""
        return [f"{name}@{version}" for name, version in self.adapters.items()]

    def check(self, base: Base) -> None:
        """Raises BadInput if it was made on another base model."""
        if not base.is_of(self.fingerprint):
            raise BadInput(
                f"The composition '{self.name}' belongs to '{self.base}' ({self.fingerprint}), "
                f"not to this '{base.name}' ({base.fingerprint}){base.told_apart(self.fingerprint)}."
            )

    def tensor(self, bank: SkillBank) -> torch.Tensor:
        """The weights in the order and shape of a bank of the same skills and the residual, float32.

        That of the residual is 1 everywhere; a skill's is 0 in layers or modules that no skill touches.
        """
        import torch

        rows: list[Weights] = [self.weights[name] for name in bank.names if name != RESIDUAL]
        if self.granularity == "skill":
            found = torch.tensor([float(w) for w in rows if not isinstance(w, dict)])
        else:
            found = torch.tensor([[w.get(g, 0.0) for w in rows if isinstance(w, dict)] for g in bank.group_names])
        return torch.cat([found, torch.ones(*found.shape[:-1], 1)], -1) if RESIDUAL in bank.names else found

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
    residual: str = "",
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
        residual=residual,
    )


def save(made: Composition, folder: Path, replace: bool = False) -> Path | None:
    """Write a composition into the folder of its base's.

    One of that name which computes something else is kept as "NAME@VERSION", unless `replace` is true. Returns
    where it was put.
    """
    path, kept, older = folder / f"{made.name}.json", None, made
    with locked(path):
        if path.exists():
            with suppress(BadInput):  # otherwise there is nothing that could be used again
                older = read(path)
        if older.version != made.version and not replace:
            kept = folder / f"{made.name}@{older.version}.json"
            write_json(kept, asdict(older))
        write_json(path, asdict(made))
        forget_residual(older.residual, folder)
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
    found = read_object(path, "composition", NEEDED, OPTIONAL)
    try:
        made = Composition(**{name: value for name, value in found.items() if value is not None})
        numbers = [w for each in made.weights.values() for w in (each.values() if isinstance(each, dict) else (each,))]
        fine = all(isinstance(w, (int, float)) and not isinstance(w, bool) and abs(w) < LARGEST for w in numbers)
        names = all(map(is_name, (*made.adapters, *made.adapters.values(), made.base)))
        names &= set(made.residual) <= set(string.hexdigits)
        if fine and names and set(made.weights) == set(made.adapters) and made.granularity in GRANULARITIES:
            nested = {isinstance(each, dict) and bool(each) for each in made.weights.values()}
            if nested <= {made.granularity != "skill"}:
                return made
    except TypeError:
        pass
    raise BadInput(f"{path} is not a composition of mdkif with finite weights: adapt or compose it again.")


def validate_name(name: str) -> str:
    """The name, if a composition can have it. Raises BadInput if not."""
    wrong = not name or name == "base" or name.startswith(PREFIXES) or set(name) & set("/\\@")
    if wrong or not name.isprintable():
        raise BadInput(f"A composition cannot be named '{name}': use letters, digits and hyphens, and not 'base'.")
    return name


def save_residual(updates: Mapping[str, LowRank], folder: Path) -> str:
    """Write a residual into the folder of its base's compositions, for nobody to change; returns its name."""
    from safetensors.torch import save_file

    tensors = {f"{path}.{name}": factor.contiguous() for path, each in updates.items()
               for name, factor in (("down", each.down), ("up", each.up))}  # fmt: skip
    name = _named(tensors)
    with atomic_file(folder / f"{name}.safetensors") as part:
        save_file(tensors, part)
        part.chmod(0o400)
    return name


def load_residual(made: Composition, folder: Path) -> dict[str, LowRank]:
    """The LoRA that a composition was tuned with, by module; nothing if it was not.

    Raises BadInput if its file is gone, cannot be read, is not what was saved by its SHA-256, or is not finite.
    """
    if not made.residual:
        return {}
    from safetensors.torch import load_file

    path, remedy = folder / f"{made.residual}.safetensors", "restore the file, or adapt again"
    if not path.is_file():
        raise BadInput(f"The residual of the composition '{made.name}' is gone: {path} is missing; {remedy}.")
    try:
        tensors = load_file(path)
    except Exception as error:
        raise BadInput(f"The residual of the composition '{made.name}' cannot be read: {path}; {remedy}.") from error
    if _named(tensors) != made.residual or not all(bool(each.isfinite().all()) for each in tensors.values()):
        raise BadInput(
            f"The residual of the composition '{made.name}' is damaged: {path} is not what was saved, by its SHA-256; "
            f"{remedy}."
        )
    paths = sorted({key.rpartition(".")[0] for key in tensors})
    return {path: LowRank(tensors[f"{path}.down"], tensors[f"{path}.up"]) for path in paths}


def forget_residual(name: str, folder: Path) -> None:
    """Take away a residual, unless a composition in the folder still names it."""
    if name and not any(name in each.read_text("utf-8", "replace") for each in folder.glob("*.json")):
        (folder / f"{name}.safetensors").unlink(missing_ok=True)


def _named(tensors: Mapping[str, torch.Tensor]) -> str:
    return digest(*(part for key in sorted(tensors) for part in (key, tensors[key])))
