"""Discovery: every distribution is loaded, checked and registered by itself, so one cannot break another."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

import pluggy

from . import hookspecs
from .declarations import CATEGORIES, KINDS, Declaration, Instructed
from .errors import BadInput, unknown

GROUP = "mdkif"
HOOKS = {kind: f"mdkif_{kind}s" for kind in KINDS}
D = TypeVar("D", bound=Declaration)


@dataclass
class Plugin:
    """One distribution: what it provides, or the reason why it is not used."""

    dist: str
    version: str
    module: str = ""
    error: str | None = None
    seconds: float = 0.0
    declarations: list[Declaration] = field(default_factory=list)

    @property
    def provides(self) -> list[str]:
        """What it adds, as "kind name"."""
        return [f"{declared.kind} {declared.name}" for declared in self.declarations]


class Plugins:
    """Every installed plugin, and the declarations of those that work.

    `reserved` are command names that no plugin may take; `first` are the distributions whose claim to
    a name goes before the others'.
    """

    def __init__(
        self,
        entries: Iterable[EntryPoint] | None = None,
        *,
        reserved: Iterable[str] = (),
        first: Iterable[str] = (),
    ) -> None:
        self._manager = pluggy.PluginManager(GROUP)
        self._manager.add_hookspecs(hookspecs)
        self._taken: dict[tuple[str, str], tuple[Declaration, Plugin]] = {}
        self._reserved = frozenset(reserved)
        self.plugins: list[Plugin] = []
        first = frozenset(first)
        found = entry_points(group=GROUP) if entries is None else entries
        for entry in sorted(_wanted(found), key=lambda e: (_dist(e)[0] not in first, _dist(e)[0], e.name)):
            self.plugins.append(self._load(entry))

    def all(self, cls: type[D]) -> list[tuple[D, Plugin]]:
        """The declarations of one kind with their plugins, by name."""
        chosen = [(d, plugin) for d, plugin in self._taken.values() if isinstance(d, cls)]
        return sorted(chosen, key=lambda pair: pair[0].name)

    def get(self, cls: type[D], name: str) -> D:
        """The declaration of that kind and name. Raises BadInput with the nearest known name."""
        found = self._taken.get((cls.kind, name))
        if found is not None and isinstance(found[0], cls):
            return found[0]
        raise unknown(cls.kind, name, [d.name for d, _ in self.all(cls)])

    def owner(self, declared: Declaration) -> Plugin:
        """The plugin that provides a declaration."""
        return self._taken[declared.kind, declared.name][1]

    def _load(self, entry: EntryPoint) -> Plugin:
        dist, version = _dist(entry)
        plugin = Plugin(dist, version, entry.value.partition(":")[0].strip())
        started = time.perf_counter()
        module: Any = None
        try:
            with redirect_stdout(sys.stderr):  # what a plugin prints must not end up in a JSON document
                module = entry.load()
                self._manager.register(module, name=f"{dist}:{entry.name}")
                self._manager.check_pending()
                plugin.declarations = self._declared(module)
            for declared in plugin.declarations:
                self._taken[declared.kind, declared.name] = (declared, plugin)
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:  # a plugin may even call sys.exit at import; the host goes on
            plugin.error = _reason(error)
            if module is not None and self._manager.is_registered(module):
                self._manager.unregister(module)
        plugin.seconds = time.perf_counter() - started
        return plugin

    def _declared(self, module: Any) -> list[Declaration]:
        declared: list[Declaration] = []
        for kind, hook in HOOKS.items():
            for implementation in getattr(self._manager.hook, hook).get_hookimpls():
                if implementation.plugin is module:
                    returned = implementation.function()
                    if not isinstance(returned, Iterable):
                        raise BadInput(f"{hook} returned a {type(returned).__name__}; it must return a list")
                    declared += [self._checked(kind, hook, item) for item in returned]
        names = [(item.kind, item.name) for item in declared]
        for kind, name in names:
            if names.count((kind, name)) > 1:
                raise BadInput(f"it declares the {kind} '{name}' twice; names must be unique")
        return declared

    def _checked(self, kind: str, hook: str, item: object) -> Declaration:
        if not isinstance(item, KINDS[kind]):
            raise BadInput(f"{hook} returned a {type(item).__name__}; it must return {KINDS[kind].__name__} objects")
        if not item.name or not item.name.replace("-", "").isalnum() or item.name != item.name.lower():
            raise BadInput(f"the {kind} name {item.name!r} must be lower-case letters, digits and hyphens")
        if isinstance(item, Instructed) and item.category not in CATEGORIES:
            raise BadInput(f"the {kind} '{item.name}' has the category {item.category!r}; use one of {CATEGORIES}")
        if kind == "command" and item.name in self._reserved:
            raise BadInput(f"'{item.name}' is a core command and cannot be replaced; rename the command")
        if taken := self._taken.get((kind, item.name)):
            other = taken[1]
            raise BadInput(
                f"the {kind} '{item.name}' is already provided by {other.dist} {other.version}; "
                "rename it or uninstall one of the two"
            )
        return item


def _wanted(entries: Iterable[EntryPoint]) -> list[EntryPoint]:
    """All entries, or those of the distributions named in `$MDKIF_PLUGINS` (none if it is empty)."""
    only = os.environ.get("MDKIF_PLUGINS")
    if only is None:
        return list(entries)
    names = {name.strip() for name in only.split(",")}
    return [entry for entry in entries if _dist(entry)[0] in names]


def _dist(entry: EntryPoint) -> tuple[str, str]:
    try:
        name, version = (entry.dist.name, entry.dist.version) if entry.dist else (None, None)
    except KeyError:  # what is left of a distribution after an interrupted uninstall
        name = version = None
    return name or entry.name, version or "unknown"


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split())[:300]
    return text if isinstance(error, BadInput) else f"{type(error).__name__}: {text}"
