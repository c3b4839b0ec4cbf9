"""Checking plugins by the name of a distribution, or of anything it provides."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ..contract.declarations import (
    Baseline,
    Dataset,
    Declaration,
    Evaluator,
    LazySpec,
    Pack,
    PromptedSpec,
    Router,
    Trainer,
)
from ..contract.discovery import Plugin
from ..data.sources import Sources
from ..errors import unknown
from ..inspection import samples
from ..inspection.elsewhere import Elsewhere
from ..inspection.finding import Finding, findings, told
from ..workspace import Workspace
from . import baselines, datasets, distributions, evaluators, prompted, routers, trainers

TO_THE_END = "is checked to the end"


def check(workspace: Workspace, target: str = "", sources: Sources | None = None) -> Iterator[Finding]:
    """Every rule for the plugins that `target` names, or for all: a distribution or a thing it provides.

    Skills, tasks and data sets are checked on `sources` or, where it has none of theirs, on the sample
    that a plugin ships in the folder `sample/DATASET` of its package. Whatever a plugin's code does, the
    others are checked. Raises BadInput for an unknown target, or a source of an unknown data set.
    """
    known = {each.name for each, _ in workspace.plugins.all(Dataset)}
    if wrong := set(sources or {}) - known:
        raise unknown(Dataset.kind, min(wrong), known)
    with Elsewhere() as clean, Elsewhere() as elsewhere:
        checking = _Checking(workspace, sources or {}, clean, elsewhere)
        for plugin, declared in _targets(workspace, target):
            if not declared or target in ("", plugin.dist):
                yield from _to_the_end(plugin.dist, distributions.distribution(plugin, clean), plugin.module)
            for each in declared:
                subject = f"{each.kind} {each.name}"
                yield from _to_the_end(subject, checking.declaration(plugin, each, subject), plugin.module)


def rules() -> dict[str, list[str]]:
    """The rules there are, by what they are about."""
    return {
        "every distribution": [*distributions.RULES, TO_THE_END],
        "everything it provides": [*TITLED],
        "base models and commands": [*LOADED],
        "data sets": [*datasets.RULES, *datasets.ON_FILES],
        "skills and tasks": [*prompted.RULES, *(rule for rule in prompted.ON_FILES if rule not in datasets.ON_FILES)],
        "trainers": [*trainers.RULES],
        "routers": [*routers.RULES],
        "baselines": [*baselines.RULES],
        "evaluators": [*evaluators.RULES],
        "packs of trained skills": [*distributions.OF_PACKS],
    }


@dataclass
class _Checking:
    """What the check of a declaration needs beside it."""

    workspace: Workspace
    sources: Sources
    clean: Elsewhere
    elsewhere: Elsewhere

    def declaration(self, plugin: Plugin, declared: Declaration, subject: str) -> Iterator[Finding]:
        """Every rule for one thing that a plugin provides."""
        yield from findings(subject, TITLED, declared)
        match declared:
            case Dataset():
                given = samples.sample(plugin, declared.name, self.sources)
                shipped = samples.sample(plugin, declared.name, {})
                yield from datasets.dataset(declared, subject, given, self.elsewhere, shipped)
            case PromptedSpec():
                paths = samples.samples(self.workspace.plugins, declared, self.sources)
                yield from prompted.prompted(self.workspace, declared, subject, paths, self.elsewhere)
            case Trainer():
                yield from trainers.trainer(declared, subject)
            case Router():
                yield from routers.router(declared, subject)
            case Baseline():
                yield from baselines.baseline(declared, subject)
            case Evaluator():
                yield from evaluators.evaluator(declared, subject)
            case Pack():
                yield from distributions.pack(declared, subject)
            case LazySpec():
                yield from findings(subject, LOADED, declared)


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


def _to_the_end(subject: str, found: Iterator[Finding], module: str) -> Iterator[Finding]:
    """The findings and, where a plugin's code breaks off the check of it, one that says so."""
    try:
        yield from found
    except (Exception, SystemExit) as error:
        yield Finding(subject, TO_THE_END, "broken", told(error, module))


def _titled(declared: Declaration) -> list[str]:
    return [] if declared.title.strip() else ["Give it a title of one line."]


def _loaded(declared: LazySpec) -> list[str]:
    return [] if callable(declared.load()) else [f"Its target {declared.target} is no function."]


TITLED: dict[str, Callable[[Declaration], Iterable[str]]] = {"has a title": _titled}
LOADED: dict[str, Callable[[LazySpec], Iterable[str]]] = {"its code loads": _loaded}
