"""Rows and cards: what is known of everything installed, trained, composed and measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from .adapters import inventory
from .adapters.library import packs_of
from .contract.catalogue import catalogue
from .contract.declarations import KINDS, Baseline, Dataset, Declaration, Router, Skill, Task, Trainer
from .errors import BadInput, unknown
from .evaluation.report import reports
from .settings import described
from .store.layout import Store
from .workspace import Workspace

Rows = list[dict[str, Any]]
MADE = ("trained", "compositions", "reports")


def rows(workspace: Workspace, kind: str | None = None, available: bool = False) -> Rows:
    """What is installed, or with `available` what is known and not installed, of one kind ("skills") or all.

    The kinds "trained", "compositions" and "reports" are what the store holds.
    """
    if kind in MADE and not available:
        return _made(workspace, kind)
    singular, plugins = _singular(kind), workspace.plugins
    if available:
        entries = [entry for entry in catalogue() if singular in (None, entry.kind)]
        return [asdict(entry) for entry in entries if not plugins.has(entry)]
    found: Rows = []
    for declared, plugin in plugins.all(KINDS[singular] if singular else Declaration):
        if singular is None and declared.kind == "command":
            continue
        found.append(
            {"name": declared.name, "kind": declared.kind, "title": declared.title}
            | _facts(declared)
            | {"dist": plugin.dist, "version": plugin.version}
        )
    order = list(KINDS)
    return sorted(found, key=lambda row: (order.index(row["kind"]), row["name"]))


def cards(workspace: Workspace, name: str) -> Rows:
    """The cards of everything of that name: what plugins provide, with template and data sets, and what was made.

    Raises BadInput for a name nobody knows.
    """
    plugins = workspace.plugins
    found = [
        _card(workspace, declared) | {"dist": plugin.dist, "version": plugin.version}
        for declared, plugin in plugins.all(Declaration)
        if declared.name == name
    ]
    if not any(card["kind"] == Skill.kind for card in found):
        found += [{"kind": "trained", "name": name, **each} for each in _trained(workspace, name)]
    found += [_composition_card(workspace.store, stem, made) for stem, made in _compositions(workspace.store, name)]
    if not found:
        made = {stem for stem, _ in inventory.compositions(workspace.store)}
        raise plugins.missing(Declaration, name, made | {each.name for each in inventory.trained(workspace.store)})
    return found


def _card(workspace: Workspace, declared: Declaration) -> dict[str, Any]:
    from .routing.optimizer import AdaptSettings
    from .training.settings import TrainSettings

    card = {"kind": declared.kind, **(_data(declared) if isinstance(declared, Dataset) else asdict(declared))}
    if isinstance(declared, (Skill, Task)):
        card["template_text"] = workspace.template(declared).source()
        card["data"] = [_data(each) for each, _ in workspace.plugins.all(Dataset) if each.name in declared.reads]
    if isinstance(declared, (Trainer, Router, Baseline)):
        cls = declared.load()
        card["meaning"] = " ".join((cls.__doc__ or "").split())
        card["settings"] = described(cls)
    if isinstance(declared, (Trainer, Router)):
        card["stage_settings"] = described(TrainSettings if isinstance(declared, Trainer) else AdaptSettings)
    if isinstance(declared, Skill):
        card["trained"] = _trained(workspace, declared.name)
    return card


def _data(dataset: Dataset) -> dict[str, Any]:
    """A data set and, where a package ships it, which release lies where, or what is wrong with it."""
    card = asdict(dataset)
    try:
        card["installed"] = asdict(found) if (found := dataset.find()) else {}
    except BadInput as error:
        card["installed"] = str(error)
    return card


def _trained(workspace: Workspace, name: str) -> Rows:
    """The cards of all versions of a trained skill, of the store and of packs."""
    every = [*inventory.trained(workspace.store), *(each for _, each in inventory.packed(packs_of(workspace)))]
    return [{"path": str(each.path), **each.card} for each in every if each.name == name]


def _compositions(store: Store, name: str) -> list[tuple[str, Any]]:
    return [(stem, made) for stem, made in inventory.compositions(store) if stem == name]


def _composition_card(store: Store, name: str, made: Any) -> dict[str, Any]:
    """Weights, what they were learnt from, and what was measured with them."""
    measured = [
        {key: row[key] for key in ("task", "n", "split", "metrics")}
        for row in reports(store.reports)
        if row["with"] == name and row["base"] == made.base
    ]
    return {"kind": "composition", "name": name, "version": made.version, **_but(asdict(made), "name", "learnt"),
            "results": measured}  # fmt: skip


def _made(workspace: Workspace, kind: str) -> Rows:
    if kind == "trained":
        return inventory.trained_rows(workspace.store, packs_of(workspace))
    store = workspace.store
    return inventory.composition_rows(store) if kind == "compositions" else reports(store.reports)


def _but(values: Mapping[str, Any], *left_out: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in left_out}


def _singular(kind: str | None) -> str | None:
    if kind is None or kind.removesuffix("s") in KINDS:
        return kind and kind.removesuffix("s")
    raise unknown("kind", kind, (*(f"{name}s" for name in KINDS), *MADE))


def _facts(declared: Declaration) -> dict[str, Any]:
    names = ("category", "track", "licence", "access", "metric", "uses", "parameters")
    return {name: getattr(declared, name) for name in names if hasattr(declared, name)}
