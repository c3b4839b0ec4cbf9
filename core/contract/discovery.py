"""Discovery: every distribution is loaded, checked and registered by itself, so one cannot break another."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import Any, TypeVar

import pluggy

from ..errors import BadInput, unknown
from . import hookspecs
from .catalogue import LISTENER, catalogue
from .catalogue import Entry as Known
from .declarations import KINDS, Declaration, LazySpec
from .distributions import Entry, Texts, installed, named
from .explanation import ContractViolation, explained, line
from .validation import EVENTS, declared_by, hooks_of

GROUP = "mdkif"
SLOW = 1.0
MOST_ENTRIES = 100
D = TypeVar("D", bound=Declaration)
L = TypeVar("L", bound=LazySpec)


@dataclass
class Plugin:
    """One distribution: what it provides and which events it listens to, or why it is not used and the remedy."""

    dist: str
    version: str
    module: str = ""
    error: str | None = None
    remedy: str = ""
    seconds: float = 0.0
    declarations: list[Declaration] = field(default_factory=list)
    listens: list[str] = field(default_factory=list)

    @property
    def provides(self) -> list[str]:
        """What it adds, as "kind name"."""
        return [f"{declared.kind} {declared.name}" for declared in self.declarations]


class Plugins:
    """Every installed plugin, and the declarations of those that work.

    `reserved` are command names that no plugin may take; `first` are the distributions whose claim to
    a name goes before the others'. `trace` is given a line for every call of a hook.
    """

    def __init__(
        self,
        entries: Iterable[Entry] | None = None,
        *,
        reserved: Iterable[str] = (),
        first: Iterable[str] = (),
        trace: Callable[[str], None] | None = None,
    ) -> None:
        self._manager = pluggy.PluginManager(GROUP)
        self._manager.add_hookspecs(hookspecs)
        if trace:
            self._manager.add_hookcall_monitoring(lambda *_: None, partial(_traced, trace))
        self._taken: dict[tuple[str, str], tuple[Declaration, Plugin]] = {}
        self._modules: dict[int, Plugin] = {}
        self._reserved = frozenset(reserved)
        self.plugins: list[Plugin] = []
        first = frozenset(first)
        found = installed(GROUP) if entries is None else entries
        named = sorted(_wanted(found), key=lambda each: (each[0] not in first, *each[:2], each[2].name))
        for (dist, version), group in groupby(named, key=lambda each: each[:2]):
            own = [entry for _, _, entry in group]
            if len(own) > MOST_ENTRIES:
                error = f"it has {len(own):,} entry points in the group '{GROUP}', and {MOST_ENTRIES} are the most"
                self.plugins.append(Plugin(dist, version, error=error, remedy="name its modules only"))
            else:
                self.plugins += [self._load(dist, version, entry) for entry in own]

    def all(self, cls: type[D]) -> list[tuple[D, Plugin]]:
        """The declarations of one kind with their plugins, by name."""
        chosen = [(d, plugin) for d, plugin in self._taken.values() if isinstance(d, cls)]
        return sorted(chosen, key=lambda pair: pair[0].name)

    def get(self, cls: type[D], name: str) -> D:
        """The declaration of that class and name; of several kinds, as of a `PromptedSpec`, the first one's.

        Raises BadInput with what to install for a name of the catalogue, else with the nearest known name.
        """
        for kind in _kinds(cls):
            declared = self._taken[kind, name][0] if (kind, name) in self._taken else None
            if isinstance(declared, cls):
                return declared
        raise self.missing(cls, name)

    def made(self, cls: type[L], given: Any) -> tuple[L, Any]:
        """The declaration that is named, with a new object of its class, or the one that `given` is an object of.

        Raises BadInput for an unknown name, and for an object of anything else.
        """
        if isinstance(given, str):
            named = self.get(cls, given)
            return named, named.load()()
        for declared, _ in self.all(cls):
            if declared.load() is type(given):
                return declared, given
        raise BadInput(
            f"No installed {cls.kind} is a {type(given).__name__}: name one, as in {cls.kind}='…', or make it with "
            f"Toolkit.{cls.kind}."
        )

    def missing(self, cls: type[Declaration], name: str, beside: Iterable[str] = ()) -> BadInput:
        """The error for a name that nothing installed provides; `beside` are names known from elsewhere."""
        kinds = _kinds(cls)
        known = [entry for entry in catalogue() if entry.kind in kinds]
        for entry in known:
            if entry.name == name and not self.has(entry):
                return BadInput(self._remedy(entry))
        label = " or ".join(kinds) if cls is not Declaration else "skill, task or other plugin"
        have = {*(declared.name for declared, _ in self.all(cls)), *beside}
        names = have | {entry.name for entry in known if entry.kind != LISTENER}
        return unknown(label, name, names, "" if have else "None is installed: see 'mdkif list --available'.")

    def has(self, entry: Known) -> bool:
        """Whether what the catalogue knows is installed and works."""
        if entry.kind == LISTENER:
            return any(plugin.dist == entry.dist and not plugin.error for plugin in self.plugins)
        return (entry.kind, entry.name) in self._taken

    def _remedy(self, entry: Known) -> str:
        """How to get what the catalogue knows and nothing installed provides."""
        what = f"The {entry.kind} '{entry.name}'"
        for plugin in (plugin for plugin in self.plugins if plugin.dist == entry.dist):
            if plugin.error:
                return f"{what} cannot be used: {plugin.dist} failed ({plugin.error}); {plugin.remedy}."
            return f"{what} is not in {plugin.dist} {plugin.version}: pip install --upgrade {plugin.dist}."
        if entry.planned:
            return f"{what} is known but not published yet; it will be in {entry.dist}."
        return f"{what} is not installed: pip install {entry.dist}."

    def owner(self, declared: Declaration) -> Plugin:
        """The plugin that provides a declaration."""
        return self._taken[declared.kind, declared.name][1]

    def listeners(self, hook: str) -> list[tuple[Plugin, Callable[..., object]]]:
        """Who listens to an event, in pluggy's order, with what calls this one through pluggy."""
        found = reversed(getattr(self._manager.hook, hook).get_hookimpls())
        return [(each.plugin.owner, partial(self._call, each.plugin, hook)) for each in found]

    def cut_off(self, plugin: Plugin) -> None:
        """Tell a plugin of no more events; what it declares stays in use."""
        for hooks in self._manager.get_plugins():
            if hooks.owner is plugin:
                self._manager.unregister(hooks)
        plugin.listens = []

    def _call(self, hooks: _Hooks, name: str, **payload: object) -> object:
        """What one plugin's hook returns, called through pluggy."""
        others = [each for each in self._manager.get_plugins() if each is not hooks]
        returned: list[object] = self._manager.subset_hook_caller(name, others)(**payload)
        return returned[0] if returned else None

    def _load(self, dist: str, version: str, entry: Entry) -> Plugin:
        plugin = Plugin(dist, version, line(entry.value.partition(":")[0], 200))
        started = time.perf_counter()
        try:
            with redirect_stdout(sys.stderr):  # what a plugin prints must not end up in a JSON document
                module = entry.load()
                hooks = hooks_of(module)
                if (other := self._modules.setdefault(id(module), plugin)) is not plugin:
                    raise ContractViolation(
                        f"its module is that of {other.dist}", "give each distribution a module of its own"
                    )
                shown = _Hooks(plugin, hooks)
                self._manager.register(shown, name=f"{dist}:{entry.name}")
                declared = declared_by(hooks, partial(self._call, shown))
            self._check_names(declared)
            plugin.declarations, plugin.listens = declared, [name for name in hooks if name in EVENTS]
            self._taken |= {(each.kind, each.name): (each, plugin) for each in declared}
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:  # a plugin may even call sys.exit at import; the host goes on
            self.cut_off(plugin)
            plugin.error, plugin.remedy = explained(error, dist, plugin.module)
        plugin.seconds = time.perf_counter() - started
        return plugin

    def _check_names(self, declared: Iterable[Declaration]) -> None:
        for kind, name in ((each.kind, each.name) for each in declared):
            if kind == "command" and name in self._reserved:
                raise ContractViolation(f"'{name}' is a core command and cannot be replaced", "rename the command")
            if taken := self._taken.get((kind, name)):
                other = taken[1]
                what = f"the {kind} '{name}' is already provided by {other.dist} {other.version}"
                raise ContractViolation(what, "rename it or uninstall one of the two")


def _kinds(cls: type[Declaration]) -> list[str]:
    kinds = [kind for kind, known in KINDS.items() if issubclass(known, cls)]
    return [*kinds, LISTENER] if cls is Declaration else kinds


class _Hooks:
    """The hooks of a module and nothing else: pluggy looks at every name it is shown. `owner` is whose they are."""

    def __init__(self, owner: Plugin, hooks: dict[str, Callable[..., object]]) -> None:
        self.__dict__ = {"owner": owner, **hooks}

    def __dir__(self) -> Iterable[str]:
        return [name for name in self.__dict__ if name != "owner"]


def _traced(
    trace: Callable[[str], None], outcome: Any, hook: str, called: Iterable[Any], payload: Mapping[str, object]
) -> None:
    given = ", ".join(f"{name}={value}" for name, value in payload.items())
    came = f" raised {type(outcome.exception).__name__}" if outcome.exception else ""
    trace(line(f"{', '.join(each.plugin_name for each in called)}: {hook}({given}){came}", 300))


def _wanted(entries: Iterable[Entry]) -> Iterator[tuple[str, str, Entry]]:
    """Distribution and version of all entries, or of those named in `$MDKIF_PLUGINS` (none if it is empty)."""
    only = os.environ.get("MDKIF_PLUGINS")
    names = only and {name.strip() for name in only.split(",")}
    known: dict[Texts | None, tuple[str, str]] = {}
    for entry in () if only == "" else entries:
        if entry.dist not in known:
            known[entry.dist] = named(entry.dist)
        dist, version = known[entry.dist]
        dist = dist or line(entry.name, 60)
        if not names or dist in names:
            yield dist, version, entry
