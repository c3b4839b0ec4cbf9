"""What a store holds of trained skills and compositions: rows to show, cards, and taking away."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..contract.declarations import Pack
from ..errors import BadInput, unknown
from ..store.files import part_directory
from ..store.layout import Store
from ..store.locks import locked
from .artifact import Artifact
from .composition import Composition, forget_residual, read
from .library import Library

Row = dict[str, Any]


def trained(store: Store) -> Iterator[Artifact]:
    """Every version of every trained skill of the store, on any base model."""
    for folder in _folders(store.root / "skills"):
        yield from _all(Library(folder, folder.name))


def packed(packs: Iterable[Pack]) -> Iterator[tuple[Pack, Artifact]]:
    """Every trained skill that comes in a pack, on any base model."""
    for pack in packs:
        if pack.folder is not None:
            yield from ((pack, artifact) for artifact in _all(Library(pack.folder, pack.base)))


def _all(library: Library) -> Iterator[Artifact]:
    for versions in library.versions.values():
        yield from versions


def compositions(store: Store) -> Iterator[tuple[str, Composition]]:
    """Every composition on any base model that can be read, with the name that `--with` takes."""
    for folder in _folders(store.root / "compositions"):
        for path in sorted(folder.glob("[!.]*.json")):
            yield from ((path.stem, made) for made in _readable(path))


def trained_rows(store: Store, packs: Iterable[Pack] = ()) -> list[Row]:
    """A row for each trained skill: version, base, how it was trained, its loss, and the pack it comes in, if any."""
    rows: list[Row] = []
    for pack, each in [*(("", each) for each in trained(store)), *((p.name, each) for p, each in packed(packs))]:
        card, first = each.card, (each.name, each.card.get("base")) not in {(r["name"], r["base"]) for r in rows}
        newest = first and "@" not in each.path.name
        trainer = "imported" if "imported" in card else card.get("trainer")
        rows.append({"name": each.name if newest else each.reference, "kind": "trained", "title": card.get("title", ""),
                     "version": each.version, "base": card.get("base"), "trainer": trainer,
                     "steps": card.get("steps"), "records": card.get("data", {}).get("records"),
                     "dev_loss": card.get("metrics", {}).get("dev_loss"), "created": card.get("created"),
                     "pack": pack, "path": str(each.path)})  # fmt: skip
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


def remove(store: Store, name: str, packs: Iterable[Pack] = ()) -> list[Path]:
    """Take away "skill:NAME[@VERSION]" (all versions, or one), a composition or a report; returns what was removed.

    Raises BadInput for an unknown name, for a skill that a composition is made of, and for one of a pack.
    """
    if name.startswith("skill:"):
        return _remove_skill(store, name.removeprefix("skill:"), packs)
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


def _remove_skill(store: Store, reference: str, packs: Iterable[Pack]) -> list[Path]:
    name, _, version = reference.partition("@")
    every = list(trained(store))
    chosen = [each for each in every if each.name == name and each.version.startswith(version)]
    if not chosen:
        for pack, each in packed(packs):
            if each.name == name and each.version.startswith(version):
                raise BadInput(f"The skill '{reference}' comes in the pack '{pack.name}': mdkif uninstall {pack.name}.")
        raise unknown("trained skill", reference, {each.reference if version else each.name for each in every})
    gone = {(each.name, each.version) for each in chosen}
    if users := sorted(used for used, made in compositions(store) if gone & set(made.adapters.items())):
        raise BadInput(f"The skill '{reference}' is a part of {', '.join(users)}: remove the composition first.")
    for each in chosen:
        with locked(each.path.with_name(each.name)), part_directory(each.place) as unwanted:
            each.place.replace(unwanted)  # whole, until it is gone whole
    return [each.path for each in chosen]


def _readable(path: Path) -> Iterator[Composition]:
    """The composition of a file, if it is one: whoever asks for that one by its name is told why it is not."""
    with suppress(BadInput):
        yield read(path)


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
