"""The errors a person may see: one sentence with the thing, the place and the remedy."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class MdkifError(Exception):
    """The work failed; the command line prints the sentence and exits with 1."""

    exit_code = 1


class BadInput(MdkifError):
    """A file, name or option given by the user is wrong; the command line exits with 2."""

    exit_code = 2


def unknown(kind: str, name: str, known: Iterable[str], remedy: str = "") -> BadInput:
    """The error for a name nobody provides, with the nearest known one.

    >>> print(unknown("skill", "nil", ["nli", "qa"]))
    There is no skill named 'nil': did you mean 'nli'?
    """
    choices = sorted(known)
    near = get_close_matches(name, choices, n=1, cutoff=0.5)
    if near:
        hint = f"did you mean '{near[0]}'?"
    else:
        hint = f"known are {', '.join(choices)}." if choices else "none is installed."
    return BadInput(f"There is no {kind} named '{name}': {hint}" + (f" {remedy}" if remedy else ""))
