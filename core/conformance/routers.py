"""Rules for router optimizers: a search for known weights, on a function whose minimum is known."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields

from ..contract.declarations import Router
from ..inspection.bowl import Bowl
from ..inspection.finding import Finding, finding
from ..inspection.surroundings import one_thread
from ..progress import Progress
from ..routing.optimizer import RouterOptimizer, best


def router(declared: Router, subject: str) -> Iterator[Finding]:
    """The rules for a router optimizer."""
    for rule, problems in RULES.items():
        with one_thread():
            found = finding(subject, rule, lambda p=problems: p(declared))  # type: ignore[misc]
        yield found


def _defaults(declared: Router) -> Iterator[str]:
    if not isinstance(declared.load()(), RouterOptimizer):
        yield f"Its target {declared.target} is none: name a class that inherits from mdkif.RouterOptimizer."


def _minimises(declared: Router) -> Iterator[str]:
    bowl = Bowl()
    found = declared.load()().search(bowl, 0, Progress())
    there = bowl.value(found.weights.float())
    if abs(there - found.value) > 1e-4:
        yield f"It says {found.value:.4f} for weights whose value is {there:.4f}: return a candidate it evaluated."
    if not bowl.evaluations:  # a reference, which does not search
        return
    start = best(bowl.references).value
    if found.value > start:
        yield f"It ends at {found.value:.4f}, above its start {start:.4f}: return the best of all, references included."
    if found.value > start / 2:
        yield f"From {start:.4f} it comes to {found.value:.4f} only, of a minimum of 0: search longer or otherwise."


def _budget(declared: Router) -> Iterator[str]:
    cls = declared.load()
    if "evaluations" in {field.name for field in fields(cls)}:
        bowl = Bowl()
        cls(evaluations=40).search(bowl, 0, Progress())
        if bowl.evaluations > 40:
            yield f"Told to make 40 evaluations it makes {bowl.evaluations}: stop at the budget."


def _seeded(declared: Router) -> Iterator[str]:
    import numpy as np
    import torch

    def states() -> tuple[object, ...]:
        return random.getstate(), torch.get_rng_state().tolist(), str(np.random.get_state())

    found, kept = [], True
    for _ in range(2):
        random.random(), np.random.rand(), torch.rand(1)  # the second search finds other states than the first
        before = states()
        found.append(declared.load()().search(Bowl(), 3, Progress()).weights)
        kept &= states() == before
    if not torch.equal(*found):
        yield "The same seed finds other weights: draw from a generator of your own, seeded with `seed`."
    if not kept:
        yield "It changes the random state of Python, NumPy or PyTorch: use a generator, or put the state back."


RULES: dict[str, Callable[[Router], Iterable[str]]] = {
    "its settings have defaults": _defaults,
    "minimises a known function, and never does worse than its start": _minimises,
    "keeps to its budget of evaluations": _budget,
    "is seeded, and leaves others' random numbers alone": _seeded,
}
