"""Rules for every distribution: it loads, says what it is, and declares without weight or noise."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import PackageNotFoundError, metadata
from typing import Any

from ..contract.discovery import Plugin
from ..inspection.elsewhere import Elsewhere
from ..inspection.finding import Finding, findings

SLOW = 1.0


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
