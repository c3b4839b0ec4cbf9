"""Two ways of doing the same work, measured in turn, and the row that comes of it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from mdkif import MdkifError

from .profiling import profiled

Cost = Callable[[], float]
Row = dict[str, Any]


@dataclass(frozen=True)
class Goal:
    """The least or the largest ratio that is wanted."""

    wanted: Literal["at least", "at most"]
    ratio: float

    def met(self, ratio: float) -> bool:
        """Whether a measured ratio reaches it."""
        return ratio >= self.ratio if self.wanted == "at least" else ratio <= self.ratio


def at_least(ratio: float) -> Goal:
    """The peer must cost that much more than we do."""
    return Goal("at least", ratio)


def at_most(ratio: float) -> Goal:
    """We may cost that much more than the peer does."""
    return Goal("at most", ratio)


def seconds(work: Callable[[], object]) -> float:
    """How long it takes, accelerators included."""
    _wait()
    started = time.perf_counter()
    work()
    _wait()
    return time.perf_counter() - started


def timed(work: Callable[[], object]) -> Cost:
    """The work as a cost in seconds."""
    return lambda: seconds(work)


def alternately(ours: Cost, peer: Cost, repeats: int) -> tuple[list[float], list[float]]:
    """Both costs, measured in turn and each first as often as the other: what slows the machine slows both.

    Raises Profiled, with ours alone, if they are to be measured no times.
    """
    if not repeats:
        raise profiled(ours)
    costs: tuple[list[float], list[float]] = ([], [])
    for i in range(repeats):
        for which in (0, 1) if i % 2 == 0 else (1, 0):
            costs[which].append((ours, peer)[which]())
    return costs


def row(
    name: str, costs: tuple[Sequence[float], Sequence[float]], goal: Goal | None, unit: str = "s", amount: float = 0
) -> Row:
    """One comparison, from paired costs of ours and the peer's.

    `ours` and `peer` are medians, in `unit`: the costs or, where an `amount` of work is given, the amount
    for each unit of cost. `ratio` is the median of the pairs' ratios, ours / peer where the goal is "at
    most" and else peer / ours (both costs), and `spread` are their quartiles.
    """
    at_most = goal is not None and goal.wanted == "at most"
    pairs = list(zip(*costs, strict=True))
    ratios = [ours / peer if at_most else peer / ours for ours, peer in pairs]
    ours, peer = (statistics.median(amount / c if amount else c for c in each) for each in costs)
    ratio = statistics.median(ratios)
    return {
        "name": name,
        "ours": ours,
        "peer": peer,
        "ratio": ratio,
        "spread": quartiles(ratios),
        "unit": unit,
        "wanted": goal and goal.wanted,
        "goal": goal and goal.ratio,
        "met": goal and goal.met(ratio),
        "note": "",
    }


def quartiles(values: Sequence[float]) -> list[float]:
    """The first and the third quartile; of a single value, itself twice."""
    if len(values) == 1:
        return [values[0], values[0]]
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return [first, third]


def agree(what: str, ours: torch.Tensor, peer: torch.Tensor, tolerance: float) -> None:
    """Raises MdkifError if ours differs from the peer's by more than that share of its largest value."""
    difference = float((ours.double() - peer.double()).abs().max() / peer.double().abs().max())
    if not difference <= tolerance:
        raise MdkifError(f"The benchmark disagrees with {what} by {difference:.1e} of the largest value.")


def _wait() -> None:
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()
