"""Whether every byte is what was written: models, skills, compositions and exports, by the hashes they were given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..adapters import composition
from ..adapters.artifact import open_artifact
from ..errors import BadInput, unknown
from ..store.layout import Store
from ..store.manifest import MANIFEST, problem
from .holdings import Holding, holdings


@dataclass(frozen=True)
class Verified:
    """One thing, and what is not as it was written; nothing is wrong where `wrong` is empty.

    `by` says what it was held against: "SHA-256", "form" where no hash was kept of it, or "parts".
    """

    kind: str
    name: str
    path: str
    by: str
    wrong: str = ""
    remedy: str = ""


def verify(store: Store, name: str = "") -> Iterator[Verified]:
    """Read every byte of everything of that name, or of all that the store holds, or of an export's folder.

    A skill may be named "skill:NAME" or "skill:NAME@VERSION". Raises BadInput for a name nobody has.
    """
    if name and (Path(name) / MANIFEST).is_file():
        wrong = problem(Path(name), every_byte=True)
        yield Verified("export", Path(name).resolve().name, name, "SHA-256", wrong, "mdkif export" * bool(wrong))
        return
    every = list(holdings(store))
    wanted = [each for each in every if not name or _means(name, each)]
    if name and not wanted:
        raise unknown("model, skill, composition, report or export", name, {each.name for each in every})
    for each in wanted:
        by, wrong = (_BY.get(each.kind, _form) if not each.wrong else _form)(each)
        yield Verified(each.kind, each.name, str(each.path), by, wrong, each.remedy * bool(wrong))


def _means(name: str, each: Holding) -> bool:
    kind, _, own = name.rpartition(":")
    return kind in ("", each.kind) and own in (each.name, each.name.partition("@")[0])


def _form(each: Holding) -> tuple[str, str]:
    return "form", each.wrong


def _model(each: Holding) -> tuple[str, str]:
    return "SHA-256" if (each.path / MANIFEST).exists() else "form", problem(each.path, every_byte=True)


def _skill(each: Holding) -> tuple[str, str]:
    artifact = open_artifact(each.path, each.name.partition("@")[0])
    damaged = artifact.damaged
    if damaged is None and artifact.blendable:
        try:
            artifact.read()
        except BadInput as error:
            return "SHA-256", str(error)
    return "SHA-256", f"{damaged} is not what its training left, by its SHA-256" if damaged else ""


def _composition(each: Holding) -> tuple[str, str]:
    """Whether the skills it is made of are there, in the versions it was made of, on the same base."""
    made = composition.read(each.path)
    skills = each.path.parents[2] / "skills" / each.path.parent.name
    for name, version in made.adapters.items():
        for place in (skills / name, skills / f"{name}@{version}"):
            try:
                part = open_artifact(place, name)
            except BadInput:
                continue
            same = {part.card["fingerprint"].partition("-")[0], made.fingerprint.partition("-")[0]}
            if part.version == version and len(same) == 1:
                break
        else:
            return "parts", f"it was made of {name}@{version} on another base, or that is gone"
    try:
        composition.load_residual(made, each.path.parent)
    except BadInput as error:
        return "parts", str(error)
    return "parts", ""


_BY: dict[str, Callable[[Holding], tuple[str, str]]] = {
    "model": _model,
    "skill": _skill,
    "composition": _composition,
}
