"""What a store holds of trained skills and compositions: rows to show, cards, and taking away."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import BadInput, unknown
from ..store.layout import Store
from .artifact import Artifact
from .composition import Composition, forget_residual, read
from .library import Library

Row = dict[str, Any]


def trained(store: Store) -> Iterator[Artifact]:
    """Every version of every trained skill, on any base model."""
    for folder in _folders(store.root / "skills"):
        for versions in Library(folder, folder.name).versions.values():
            yield from versions


def compositions(store: Store) -> Iterator[tuple[str, Composition]]:
    """Every composition on any base model that can be read, with the name that `--with` takes."""
    for folder in _folders(store.root / "compositions"):
        for path in sorted(folder.glob("[!.]*.json")):
            yield from ((path.stem, made) for made in _readable(path))


def trained_rows(store: Store) -> list[Row]:
    """A row for each trained skill: version, base, how it was trained, and its loss."""
    rows = []
    for each in trained(store):
        card, newest = each.card, "@" not in each.path.name
        trainer = "imported" if "imported" in card else card.get("trainer")
        rows.append({"name": each.name if newest else each.reference, "kind": "trained", "title": card.get("title", ""),
                     "version": each.version, "base": card.get("base"), "trainer": trainer,
                     "steps": card.get("steps"), "records": card.get("data", {}).get("records"),
                     "dev_loss": card.get("metrics", {}).get("dev_loss"), "created": card.get("created"),
                     "path": str(each.path)})  # fmt: skip
    return rows


def composition_rows(store: Store) -> list[Row]:
    """A row for each composition: version, base, weights, and what it was learnt for."""
    rows = []
    for name, made in compositions(store):
        weights = made.summary()
        largest_first = sorted(weights.items(), key=lambda item: -abs(item[1]))
        origin = {key: made.origin.get(key) for key in ("task", "router")}
        title = ", ".join(f"{s} {w:.2f}" for s, w in largest_first) + (", and tuned" if made.residual else "")
        rows.append({"name": name, "kind": "composition", "title": title,
                     "version": made.version, "base": made.base, "weights": weights, **origin})  # fmt: skip
    return rows


def remove(store: Store, name: str) -> list[Path]:
    """Take away "skill:NAME[@VERSION]" (all versions, or one), a composition or a report; returns what was removed.

    Raises BadInput for an unknown name, and for a skill that a composition is made of.
    """
    if name.startswith("skill:"):
        return _remove_skill(store, name.removeprefix("skill:"))
    files = [*store.root.glob("compositions/*/[!.]*.json"), *store.reports.glob("[!.]*.json")]
    chosen = [path for path in files if path.stem == name]
    if not chosen:
        known = {path.stem for path in files} | {f"skill:{each.name}" for each in trained(store)}
        raise unknown("composition, report or trained skill", name, known)
    residuals = {path: made.residual for path in chosen for made in _readable(path)}
    for path in chosen:
        path.unlink()
        forget_residual(residuals.get(path, ""), path.parent)
    return chosen


def _remove_skill(store: Store, reference: str) -> list[Path]:
    name, _, version = reference.partition("@")
    every = list(trained(store))
    chosen = [each for each in every if each.name == name and each.version.startswith(version)]
    if not chosen:
        raise unknown("trained skill", reference, {each.reference if version else each.name for each in every})
    gone = {(each.name, each.version) for each in chosen}
    if users := sorted(used for used, made in compositions(store) if gone & set(made.adapters.items())):
        raise BadInput(f"The skill '{reference}' is a part of {', '.join(users)}: remove the composition first.")
    for each in chosen:
        shutil.rmtree(each.path)
    return [each.path for each in chosen]


def _readable(path: Path) -> Iterator[Composition]:
    """The composition of a file, if it is one: whoever asks for that one by its name is told why it is not."""
    with suppress(BadInput):
        yield read(path)


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
