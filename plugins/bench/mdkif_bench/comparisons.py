"""Every comparison, by the name that `--only` takes. Its code is imported when it is run."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .material import Bench
    from .timing import Row

COMPARISONS = {
    "candidate": "candidates:candidate",
    "active": "adapters:active",
    "rebuild": "adapters:rebuilt",
    "factors": "adapters:factors",
    "gradient": "candidates:gradient",
    "generation": "answering:generation",
    "labels": "answering:labels",
    "training": "training:training",
    "search": "searching:search",
    "many-skills": "candidates:many_skills",
    "memory": "processes:memory",
    "start-up": "processes:start_up",
}


def compare(bench: Bench, name: str) -> Row:
    """The row of one comparison; `only` in it is its name.

    Raises MdkifError if ours and the peer do not compute the same.
    """
    module, _, function = COMPARISONS[name].partition(":")
    run = getattr(import_module(f".{module}", __package__), function)
    return {"only": name, **run(bench)}
