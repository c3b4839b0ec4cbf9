"""Checking plugins by the name of a distribution, or of anything it provides."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata

from ..contract.declarations import Dataset, Declaration, Evaluator, LazySpec, PromptedSpec, Router, Trainer
from ..contract.discovery import Plugin
from ..data.sources import Sources
from ..errors import unknown
from ..workspace import Workspace
from . import data, evaluators, routers, trainers
from .finding import Finding, finding

HEAVY = ("torch", "transformers", "peft", "datasets")
SLOW = 1.0


def check(workspace: Workspace, target: str = "", sources: Sources | None = None) -> Iterator[Finding]:
    """Every rule for the plugins that `target` names, or for all: a distribution or a thing it provides.

    Skills, tasks and data sets are checked on `sources` or, where it has none of theirs, on the sample
    that a plugin ships in the folder `sample/DATASET` of its package. Raises BadInput for an unknown target.
    """
    for plugin, declared in _targets(workspace, target):
        if not declared or target in ("", plugin.dist):
            yield from _distribution(plugin)
        for each in declared:
            yield from _declaration(workspace, plugin, each, sources or {})


def _targets(workspace: Workspace, target: str) -> list[tuple[Plugin, list[Declaration]]]:
    plugins = workspace.plugins.plugins
    if not target:
        return [(plugin, plugin.declarations) for plugin in plugins]
    found = [(plugin, plugin.declarations) for plugin in plugins if plugin.dist == target]
    found += [(p, named) for p in plugins if (named := [d for d in p.declarations if d.name == target])]
    if not found:
        names = {plugin.dist for plugin in plugins} | {d.name for plugin in plugins for d in plugin.declarations}
        raise unknown("plugin", target, sorted(names))
    return found


def _distribution(plugin: Plugin) -> Iterator[Finding]:
    yield finding(plugin.dist, "loads", lambda: [plugin.error] if plugin.error else [])
    if plugin.error:
        return
    yield finding(plugin.dist, "metadata is complete", lambda: _metadata(plugin))
    yield finding(plugin.dist, "registers without heavy imports", lambda: _imports(plugin))


def _metadata(plugin: Plugin) -> Iterator[str]:
    try:
        facts = metadata(plugin.dist)
    except PackageNotFoundError:
        yield f"The distribution '{plugin.dist}' is not installed as a package: pip install -e its folder."
        return
    for field, key in (("Summary", "description"), ("License-Expression", "license"), ("Requires-Python",) * 2):
        if field not in facts and not (field == "License-Expression" and "License" in facts):
            yield f"The pyproject.toml of {plugin.dist} lacks '{key.lower()}': add it under [project]."


def _imports(plugin: Plugin) -> Iterator[str]:
    code = f"import sys, {plugin.module}; print(*(set({HEAVY!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if heavy := done.stdout.split():
        yield f"Importing {plugin.module} imports {', '.join(sorted(heavy))}: import them inside the functions."
    if plugin.seconds > SLOW:
        yield f"Importing {plugin.module} took {plugin.seconds:.1f} s: import what is slow inside the functions."


def _declaration(workspace: Workspace, plugin: Plugin, declared: Declaration, sources: Sources) -> Iterator[Finding]:
    subject = f"{declared.kind} {declared.name}"
    yield finding(subject, "has a title", lambda: [] if declared.title.strip() else ["Give it a title of one line."])
    match declared:
        case Dataset():
            yield from data.dataset(declared, subject, data.sample(plugin, declared.name, sources))
        case PromptedSpec():
            yield from data.instructed(workspace, declared, subject, data.samples(workspace, declared, sources))
        case Trainer():
            yield from trainers.trainer(declared, subject)
        case Router():
            yield from routers.router(declared, subject)
        case Evaluator():
            yield from evaluators.evaluator(declared, subject)
        case LazySpec():
            yield finding(
                subject, "its code loads", lambda: [] if callable(declared.load()) else ["It is no function."]
            )
