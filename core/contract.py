"""What a plugin has to keep for its declarations to be used, and what it is told where it does not."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from difflib import get_close_matches
from itertools import islice
from pathlib import Path

from .declarations import CATEGORIES, KINDS, Coded, Declaration, Instructed, Source
from .errors import BadInput

HOOKS = {kind: f"mdkif_{kind}s" for kind in KINDS}
MOST = 1000
LONGEST = {"name": 40, "title": 200}
TEXT = 10_000

CHANGED: dict[str, str] = {}
"""Hooks, fields and names of `mdkif` that an older contract had, with what became of each.

Whoever renames or removes one adds it here: {"mdkif_experts": "it was renamed: write mdkif_skills"}. A plugin that
still has it is told so. It is empty because 0.1.0 is the first contract.
"""

_UNEXPECTED = r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'"
_MISSING = r"(\w+)\.__init__\(\) missing \d+ required keyword-only arguments?: (.+)"
_POSITIONAL = r"(\w+)\.__init__\(\) takes 1 positional argument"
_NO_NAME = r"cannot import name '(\w+)' from '(mdkif(?:\.\w+)*)'"
_CLASSES = {cls.__name__: cls for cls in (*KINDS.values(), Source)}


class Breach(BadInput):
    """A plugin does not keep the contract: the reason, and the `remedy`."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.remedy = remedy


def hooks_of(module: object) -> dict[str, Callable[[], object]]:
    """The hooks a module implements, by name.

    Raises Breach for one that does not exist, takes arguments or lacks its mark, and if there is none.
    """
    found = {}
    for name in dir(module):
        function = getattr(module, name, None)
        marked = hasattr(function, "mdkif_impl")
        if name in HOOKS.values() and not marked and inspect.isfunction(function):
            raise Breach(f"its function {name} is not marked as a hook", f"put @hookimpl above 'def {name}()'")
        if not marked or not callable(function):
            continue
        if name not in HOOKS.values():
            raise Breach(f"it implements the hook {name}, {_gone(name)}", _instead(name, HOOKS.values()))
        if parameters := list(inspect.signature(function).parameters):
            raise Breach(f"its hook {name} takes arguments ({', '.join(parameters)})", f"write 'def {name}():'")
        found[name] = function
    if not found:
        raise Breach("it implements no hook", f"put @hookimpl above one of {', '.join(HOOKS.values())}")
    return found


def declared_by(hooks: Mapping[str, Callable[[], object]]) -> list[Declaration]:
    """What the hooks declare. Raises Breach for anything that is not as the contract says."""
    found: list[Declaration] = []
    for kind, hook in HOOKS.items():
        if hook in hooks:
            found += _returned(kind, hook, hooks[hook]())
    names = [(item.kind, item.name) for item in found]
    if len(set(names)) < len(names):
        kind, name = next(each for each in names if names.count(each) > 1)
        raise Breach(f"it declares the {kind} '{name}' twice", "rename one of the two; names must be unique")
    return found


def explained(error: BaseException, dist: str, module: str) -> tuple[str, str]:
    """The reason why a plugin cannot be used, and the remedy, each on one line."""
    text = line(str(error), 300)
    breach = error if isinstance(error, Breach) else _of_the_contract(text)
    if breach is not None:
        return line(str(breach), 300), line(breach.remedy, 300)
    if isinstance(error, ModuleNotFoundError):
        own = module.partition(".")[0] == (error.name or "").partition(".")[0]
        needed = (
            f"reinstall {dist}, or 'mdkif uninstall {dist}'"
            if own
            else f"install '{error.name}', or reinstall {dist} with what it needs"
        )
        return f"{type(error).__name__}: {text}", needed
    where = f"mend {_place(error, module)}, or 'mdkif uninstall {dist}'"
    return text if isinstance(error, BadInput) else f"{type(error).__name__}: {text}", where


def line(text: str, longest: int) -> str:
    """A text of others on one line that a terminal can show, cut where it is too long."""
    shown = " ".join(text[: 8 * longest].split())
    shown = "".join(c if c.isprintable() else "?" for c in shown)
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def _returned(kind: str, hook: str, returned: object) -> list[Declaration]:
    cls = KINDS[kind].__name__
    remedy = f"return a list of {cls} objects"
    if not isinstance(returned, Iterable):
        raise Breach(f"{hook} returned a {type(returned).__name__}; it must return a list", remedy)
    items = list(islice(returned, MOST + 1))
    if len(items) > MOST:
        raise Breach(f"{hook} declares more than {MOST:,} things", "declare fewer, or make them options of one")
    for item in items:
        if not isinstance(item, KINDS[kind]):
            raise Breach(f"{hook} returned a {type(item).__name__}; it must return {cls} objects", remedy)
        _check(item)
    return items


def _check(item: Declaration) -> None:
    kind, name = item.kind, item.name
    if not isinstance(name, str) or not name.replace("-", "").isalnum() or name != name.lower():
        what = f"the {kind} name {name!r:.60} must be lower-case letters, digits and hyphens"
        raise Breach(what, "rename it, as in 'icd-coding'")
    subject = f"the {kind} '{name:.40}'"
    for each in fields(item):
        value, longest = getattr(item, each.name), LONGEST.get(each.name, TEXT)
        if isinstance(value, str) and len(value) > longest:
            what = f"the {each.name} of {subject} has {len(value):,} characters, and {longest:,} are the most"
            raise Breach(what, "shorten it")
    if not isinstance(item.title, str) or not item.title.isprintable():
        raise Breach(f"the title of {subject} is no line of text", "write one line without control characters")
    if isinstance(item, Coded) and not re.fullmatch(r"[\w.]+:[\w.]+", str(item.target)):
        raise Breach(f"the target of {subject} is {item.target!r:.60}", "write it as 'module:attribute'")
    if isinstance(item, Instructed):
        if item.category not in CATEGORIES:
            what = f"{subject} has the category {item.category!r:.60}"
            raise Breach(what, f"use one of {', '.join(CATEGORIES)}")
        _check_sources(subject, item)


def _check_sources(subject: str, item: Instructed) -> None:
    remedy = "write them as in sources=(Source(dataset='mednli'),)"
    if not item.sources:
        raise Breach(f"{subject} has no sources", remedy)
    for sources in (item.sources, item.alternatives):
        if not isinstance(sources, tuple) or not all(isinstance(source, Source) for source in sources):
            raise Breach(f"the sources of {subject} are no tuple of Source objects", remedy)


def _of_the_contract(text: str) -> Breach | None:
    """What Python's own sentence about a declaration or an import from `mdkif` means to who wrote the plugin."""
    if (found := re.search(_UNEXPECTED, text)) and found[1] in _CLASSES:
        known = [each.name for each in fields(_CLASSES[found[1]])]
        return Breach(f"it gives {found[1]} the field '{found[2]}', {_gone(found[2])}", _instead(found[2], known))
    if (found := re.search(_MISSING, text)) and found[1] in _CLASSES:
        return Breach(f"its {found[1]} lacks {found[2]}", f"write {found[2]} too: every {found[1]} has to have it")
    if (found := re.search(_POSITIONAL, text)) and found[1] in _CLASSES:
        return Breach(f"its {found[1]} has arguments without names", "write every field as name=value")
    if found := re.search(_NO_NAME, text):
        what = f"it imports '{found[1]}' from {found[2]}, {_gone(found[1])}"
        return Breach(what, _instead(found[1], _public() if found[2] == "mdkif" else ()))
    return None


def _public() -> Iterable[str]:
    from importlib import import_module

    names: list[str] = import_module(__name__.partition(".")[0]).__all__
    return names


def _gone(name: str) -> str:
    return "which an older mdkif had" if name in CHANGED else "which does not exist"


def _instead(name: str, known: Iterable[str]) -> str:
    """What to write for a name the contract does not have: what it became, the nearest, or all there are."""
    if name in CHANGED:
        return CHANGED[name]
    choices = sorted(known)
    near = get_close_matches(name, choices, n=1, cutoff=0.75)
    return f"did you mean '{near[0]}'?" if near else f"use the public names: {', '.join(choices) or 'mdkif.__all__'}"


def _place(error: BaseException, module: str) -> str:
    """File and line of the plugin that an error comes from, or the module where that is not known."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    from traceback import extract_tb

    top = module.partition(".")[0]
    frames = extract_tb(error.__traceback__)
    own = [frame for frame in frames if top in (*Path(frame.filename).parts, Path(frame.filename).stem)]
    return f"{own[-1].filename}:{own[-1].lineno}" if own else module
