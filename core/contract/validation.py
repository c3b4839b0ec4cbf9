"""What a plugin has to keep for its declarations to be used."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import fields
from itertools import islice

from . import hookspecs
from .declarations import CHOICES, KINDS, Dataset, Declaration, LazySpec, PromptedSpec, Recipe, Source
from .explanation import ContractViolation, gone, instead

HOOKS = {kind: f"mdkif_{kind}s" for kind in KINDS}
"""The hooks that declare, by kind."""
SPECIFIED = {
    name: list(inspect.signature(hook).parameters)
    for name, hook in vars(hookspecs).items()
    if name.startswith("mdkif_")
}
"""The arguments of every hook."""
EVENTS = [name for name in SPECIFIED if name not in HOOKS.values()]
MOST = 1000
LONGEST = {"name": 40, "title": 200}
TEXT = 10_000


def hooks_of(module: object) -> dict[str, Callable[..., object]]:
    """The hooks a module implements, by name.

    Raises ContractViolation for one that does not exist, takes other arguments, is a wrapper or lacks its mark, and
    if there is none.
    """
    found = {}
    for name in dir(module):
        function = getattr(module, name, None)
        marked = hasattr(function, "mdkif_impl")
        if name in SPECIFIED and not marked and inspect.isfunction(function):
            raise ContractViolation(
                f"its function {name} is not marked as a hook", f"put @hookimpl above '{_head(name)}'"
            )
        if not marked or not callable(function):
            continue
        if name not in SPECIFIED:
            raise ContractViolation(f"it implements the hook {name}, {gone(name)}", instead(name, SPECIFIED))
        _check_hook(name, function)
        found[name] = function
    if not found:
        raise ContractViolation(
            "it implements no hook", f"put @hookimpl above one of {', '.join([*HOOKS.values(), *EVENTS])}"
        )
    return found


def _check_hook(name: str, function: Callable[..., object]) -> None:
    parameters = inspect.signature(function).parameters.values()
    given = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD and p.default is p.empty]
    if wrong := [p.name for p in parameters if p.name not in SPECIFIED[name] or p.name not in given]:
        raise ContractViolation(
            f"its hook {name} takes arguments that it is not given ({', '.join(wrong)})",
            f"write '{_head(name)}:'" + (", or fewer of them" if SPECIFIED[name] else ""),
        )
    options = vars(function)["mdkif_impl"]
    if options["wrapper"] or options["hookwrapper"]:
        raise ContractViolation(f"its hook {name} is a wrapper", f"write '{_head(name)}:' with @hookimpl alone")


def _head(name: str) -> str:
    return f"def {name}({', '.join(SPECIFIED[name])})"


def declared_by(hooks: Collection[str], call: Callable[[str], object]) -> list[Declaration]:
    """What the hooks declare, each called by its name.

    Raises ContractViolation for anything that is not as the contract says.
    """
    found: list[Declaration] = []
    for kind, hook in HOOKS.items():
        if hook in hooks:
            found += _returned(kind, hook, call(hook))
    names = [(item.kind, item.name) for item in found]
    if len(set(names)) < len(names):
        kind, name = next(each for each in names if names.count(each) > 1)
        raise ContractViolation(f"it declares the {kind} '{name}' twice", "rename one of the two; names must be unique")
    return found


def _returned(kind: str, hook: str, returned: object) -> list[Declaration]:
    cls = KINDS[kind].__name__
    remedy = f"return a list of {cls} objects"
    if not isinstance(returned, Iterable):
        raise ContractViolation(f"{hook} returned a {type(returned).__name__}; it must return a list", remedy)
    items = list(islice(returned, MOST + 1))
    if len(items) > MOST:
        raise ContractViolation(
            f"{hook} declares more than {MOST:,} things", "declare fewer, or make them options of one"
        )
    for item in items:
        if not isinstance(item, KINDS[kind]):
            raise ContractViolation(f"{hook} returned a {type(item).__name__}; it must return {cls} objects", remedy)
        _check(item)
    return items


def _check(item: Declaration) -> None:
    kind, name = item.kind, item.name
    parts = str(name).split("/", 1 if isinstance(item, Recipe) else 0)
    if not isinstance(name, str) or not all(map(_is_name, parts)):
        what = f"the {kind} name {name!r:.60} must be lower-case letters, digits and hyphens"
        raise ContractViolation(what, "rename it, as in 'icd-coding'")
    subject = f"the {kind} '{name:.40}'"
    for each in fields(item):
        value, longest = getattr(item, each.name), LONGEST.get(each.name, TEXT)
        if isinstance(value, str) and len(value) > longest:
            what = f"the {each.name} of {subject} has {len(value):,} characters, and {longest:,} are the most"
            raise ContractViolation(what, "shorten it")
    if not isinstance(item.title, str) or not item.title.isprintable():
        raise ContractViolation(
            f"the title of {subject} is no line of text", "write one line without control characters"
        )
    if isinstance(item, LazySpec) and not re.fullmatch(r"[\w.]+:[\w.]+", str(item.target)):
        raise ContractViolation(f"the target of {subject} is {item.target!r:.60}", "write it as 'module:attribute'")
    for name, known in CHOICES.items():
        if (chosen := getattr(item, name, known[0])) not in known:
            what = f"{subject} has the {name.replace('_', ' ')} {chosen!r:.60}"
            raise ContractViolation(what, f"use one of {', '.join(filter(None, known))}")
    if isinstance(item, Dataset) and item.installed and not re.fullmatch(r"[\w.]+:[\w.]+", str(item.installed)):
        raise ContractViolation(
            f"the installed of {subject} is {item.installed!r:.60}", "write it as 'module:attribute'"
        )
    if isinstance(item, PromptedSpec):
        _check_sources(subject, item)


def _is_name(text: str) -> bool:
    return text.replace("-", "").isalnum() and text == text.lower()


def _check_sources(subject: str, item: PromptedSpec) -> None:
    remedy = "write them as in sources=(Source(dataset='mednli'),)"
    if not item.sources:
        raise ContractViolation(f"{subject} has no sources", remedy)
    for sources in (item.sources, item.alternatives):
        if not isinstance(sources, tuple) or not all(isinstance(source, Source) for source in sources):
            raise ContractViolation(f"the sources of {subject} are no tuple of Source objects", remedy)
