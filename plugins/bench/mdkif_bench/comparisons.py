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
    "stream": "generating:stream",
    "streams": "generating:streams",
    "labels": "answering:labels",
    "evaluation": "answering:evaluation",
    "training": "training:adalora",
    "lora": "training:lora",
    "step": "training:step",
    "training-memory": "processes:training",
    "search": "searching:search",
    "many-skills": "candidates:many_skills",
    "memory": "processes:memory",
    "half-memory": "processes:half",
    "start-up": "processes:start_up",
}

PROFILED = [name for name, place in COMPARISONS.items() if not place.startswith(("processes:", "searching:"))]
"""Those whose work is done in this process, over and over."""
ONCE = ("search", "half-memory", "start-up")
"""Those that hardly depend on the base's numbers."""


def compare(bench: Bench, name: str) -> Row:
    """The row of one comparison; `only` in it is its name, `memory` the most this process held meanwhile, in MiB.

    Raises MdkifError if ours and the peer do not compute the same, and Profiled where no row was asked for.
    """
    from .memory import forget_peak, peak

    module, _, function = COMPARISONS[name].partition(":")
    run = getattr(import_module(f".{module}", __package__), function)
    forget_peak()
    return {"only": name, "dtype": bench.dtype, **run(bench), "memory": peak()}
