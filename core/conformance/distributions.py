"""Rules for every distribution: it loads, says what it is, and declares without weight or noise; and for its packs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import PackageNotFoundError, metadata
from typing import Any

from ..adapters.artifact import CARD, LEARNT, Artifact
from ..adapters.library import Library
from ..adapters.peft_files import CONFIG, WEIGHTS, read_adapter
from ..contract.declarations import Pack
from ..contract.discovery import Plugin
from ..inspection.elsewhere import Elsewhere
from ..inspection.finding import Finding, findings

SLOW = 1.0
KNOWN = {CARD, LEARNT, CONFIG, WEIGHTS, "README.md"}


def distribution(plugin: Plugin, clean: Elsewhere) -> Iterator[Finding]:
    """The rules for a distribution; `clean` is a process in which nothing was converted."""
    first, *others = RULES.items()
    yield from (loaded := list(findings(plugin.dist, dict([first]), plugin, clean)))
    if loaded[0].state == "kept":
        yield from findings(plugin.dist, dict(others), plugin, clean)


def _loads(plugin: Plugin, _: Elsewhere) -> Iterator[str]:
    if plugin.error:
        yield f"{plugin.error}: {plugin.remedy}" if plugin.remedy else plugin.error


def _metadata(plugin: Plugin, _: Elsewhere) -> Iterator[str]:
    try:
        facts = metadata(plugin.dist)
    except PackageNotFoundError:
        yield f"The distribution '{plugin.dist}' is not installed as a package: pip install -e its folder."
        return
    for field, key in (("Summary", "description"), ("License-Expression", "license"), ("Requires-Python",) * 2):
        if field not in facts and not (field == "License-Expression" and "License" in facts):
            yield f"The pyproject.toml of {plugin.dist} lacks '{key.lower()}': add it under [project]."


def _light(plugin: Plugin, clean: Elsewhere) -> Iterator[str]:
    if heavy := clean.imported(plugin.module)["heavy"]:
        yield f"Importing {plugin.module} or calling its hooks imports {', '.join(heavy)}: do so inside the functions."


def _quick(plugin: Plugin, _: Elsewhere) -> Iterator[str]:
    if plugin.seconds > SLOW:
        yield f"Importing {plugin.module} took {plugin.seconds:.1f} s: import what is slow inside the functions."


def _silent(plugin: Plugin, clean: Elsewhere) -> Iterator[str]:
    if clean.imported(plugin.module)["printed"]:
        yield f"Importing {plugin.module} or calling its hooks prints: take the print away, for output may be JSON."


RULES: dict[str, Callable[[Any, Any], Iterable[str]]] = {
    "loads": _loads,
    "metadata is complete": _metadata,
    "declares without heavy imports": _light,
    "declares in less than a second": _quick,
    "prints nothing while it is loaded": _silent,
}


def pack(declared: Pack, subject: str) -> Iterator[Finding]:
    """The rules for a pack, on its files alone: no base model is loaded."""
    yield from findings(subject, OF_PACKS, declared)


def _skills(declared: Pack) -> Iterator[Artifact]:
    if declared.folder is not None:
        for versions in Library(declared.folder, declared.base).versions.values():
            yield from versions


def _there(declared: Pack) -> Iterator[str]:
    if declared.folder is None or not declared.folder.is_dir():
        yield f"The package {declared.package} has no folder 'skills': publish the pack again."
        return
    library = Library(declared.folder, declared.base)
    if not library.versions and not library.broken:
        yield f"The folder 'skills' of {declared.package} holds no skill: publish the pack again."
    yield from (f"The skill '{name}' cannot be read: {error}" for name, error in library.broken.items())


def _whole(declared: Pack) -> Iterator[str]:
    for skill in _skills(declared):
        if skill.damaged or not skill.card.get("files"):
            yield f"The skill '{skill.name}' is not what its training left, by its SHA-256: publish it again."


def _on_its_base(declared: Pack) -> Iterator[str]:
    for skill in _skills(declared):
        if skill.card.get("base") != declared.base:
            yield f"The skill '{skill.name}' was trained on '{skill.card.get('base')}', not on '{declared.base}'."


def _blendable(declared: Pack) -> Iterator[str]:
    for skill in _skills(declared):
        if not skill.blendable:
            yield f"The skill '{skill.name}' is {skill.kind}: put in low-rank adapters alone."
        else:
            read_adapter(skill.path)


def _nothing_beside(declared: Pack) -> Iterator[str]:
    for skill in _skills(declared):
        beside = sorted(path.name for path in skill.path.iterdir() if path.name not in KNOWN)
        if beside:
            yield f"The skill '{skill.name}' has {beside[0]} beside its adapter and card: take it away."


OF_PACKS: dict[str, Callable[[Pack], Iterable[str]]] = {
    "its skills are there": _there,
    "its skills are what their training left": _whole,
    "its skills are of its base": _on_its_base,
    "its skills are low-rank adapters with finite numbers": _blendable,
    "nothing lies beside its skills": _nothing_beside,
}
