"""What the author of a plugin is told where it cannot be used: the reason, and the remedy."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path

from ..errors import BadInput
from .declarations import KINDS, Source

RENAMED = {
    "Method": "TuningMethod",
    "Optimizer": "RouterOptimizer",
    "Space": "WeightParameterization",
    "Conversion": "ConversionReport",
    "TrainingSettings": "TrainSettings",
    "choose": "format_choices",
    "chosen": "parse_choices",
    "annotate": "format_entities",
    "annotated": "parse_entities",
    "whole_file": "atomic_file",
    "whole_directory": "atomic_directory",
}
CHANGED: dict[str, str] = {old: f"it was renamed: write {new}" for old, new in RENAMED.items()} | {
    "keep": 'write truncation_side="right", "left" or "middle" for keep="start", "end" or "both"',
}
"""Hooks, fields and names of `mdkif` that an older contract had, with what became of each.

Whoever renames or removes one adds it here, and a plugin that still has it is told so.
"""
_UNEXPECTED = r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'"
_MISSING = r"(\w+)\.__init__\(\) missing \d+ required keyword-only arguments?: (.+)"
_POSITIONAL = r"(\w+)\.__init__\(\) takes 1 positional argument"
_NO_NAME = r"cannot import name '(\w+)' from '(mdkif(?:\.\w+)*)'"
_CLASSES = {cls.__name__: cls for cls in (*KINDS.values(), Source)}


class ContractViolation(BadInput):
    """A plugin does not keep the contract: the reason, and the `remedy`."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.remedy = remedy


def explained(error: BaseException, dist: str, module: str) -> tuple[str, str]:
    """The reason why a plugin cannot be used, and the remedy, each on one line."""
    text = line(str(error), 300)
    breach = error if isinstance(error, ContractViolation) else _of_the_contract(text)
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
    where = f"mend {place(error, module)}, or 'mdkif uninstall {dist}'"
    return text if isinstance(error, BadInput) else f"{type(error).__name__}: {text}", where


def line(text: str, longest: int) -> str:
    """A text of others on one line that a terminal can show, cut where it is too long."""
    shown = " ".join(text[: 8 * longest].split())
    shown = "".join(c if c.isprintable() else "?" for c in shown)
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def _of_the_contract(text: str) -> ContractViolation | None:
    """What Python's own sentence about a declaration or an import from `mdkif` means to who wrote the plugin."""
    if (found := re.search(_UNEXPECTED, text)) and found[1] in _CLASSES:
        known = [each.name for each in fields(_CLASSES[found[1]])]
        return ContractViolation(
            f"it gives {found[1]} the field '{found[2]}', {gone(found[2])}", instead(found[2], known)
        )
    if (found := re.search(_MISSING, text)) and found[1] in _CLASSES:
        return ContractViolation(
            f"its {found[1]} lacks {found[2]}", f"write {found[2]} too: every {found[1]} has to have it"
        )
    if (found := re.search(_POSITIONAL, text)) and found[1] in _CLASSES:
        return ContractViolation(f"its {found[1]} has arguments without names", "write every field as name=value")
    if found := re.search(_NO_NAME, text):
        what = f"it imports '{found[1]}' from {found[2]}, {gone(found[1])}"
        return ContractViolation(what, instead(found[1], _public() if found[2] == "mdkif" else ()))
    return None


def _public() -> Iterable[str]:
    from importlib import import_module

    names: list[str] = import_module(__name__.partition(".")[0]).__all__
    return names


def gone(name: str) -> str:
    """Why a name is not there: it was once, or never."""
    return "which an older mdkif had" if name in CHANGED else "which does not exist"


def instead(name: str, known: Iterable[str]) -> str:
    """What to write for a name the contract does not have: what it became, the nearest, or all there are."""
    if name in CHANGED:
        return CHANGED[name]
    choices = sorted(known)
    near = get_close_matches(name, choices, n=1, cutoff=0.75)
    return f"did you mean '{near[0]}'?" if near else f"use the public names: {', '.join(choices) or 'mdkif.__all__'}"


def place(error: BaseException, module: str) -> str:
    """File and line of the plugin that an error comes from, or the module where that is not known."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    from traceback import extract_tb

    top = re.split("[.:]", module, maxsplit=1)[0]
    frames = extract_tb(error.__traceback__)
    own = [frame for frame in frames if top in (*Path(frame.filename).parts, Path(frame.filename).stem)]
    return f"{own[-1].filename}:{own[-1].lineno}" if own else module
