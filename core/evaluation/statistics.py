"""What figures of several seeds and records can carry: mean and spread, a paired bootstrap, Holm's correction."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..errors import BadInput
from .measured import Floats, Integers, Measured

Seed = tuple[int, int]
"""The seed of the skills, and the seed of the adaptation with them."""
Seeds = Mapping[Seed, Measured]
LEVEL, UNDEFINED = 0.95, 0.05


def mean_sd(values: Sequence[float]) -> tuple[float, float | None]:
    """The mean, and the standard deviation of a sample (n - 1); None of a single value."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


@dataclass(frozen=True)
class Draws:
    """Draws of seeds and of records, the same for every method: that is what pairs them.

    Seeds of the skills are drawn with replacement, within each its seeds of adaptation, and groups of records (a
    patient's, a note's) whole. All seeds are measured on the same records, so one draw of groups serves all of them:
    a draw for each seed would let more seeds take away the error that only more records can.
    """

    seeds: tuple[Seed, ...]
    groups: tuple[object, ...]
    count: int = 1000
    random_seed: int = 0

    @cached_property
    def of_seeds(self) -> Floats:
        """How much of each draw every seed is, shape (count, seeds); a draw has as much as there are skill seeds."""
        random = np.random.default_rng([self.random_seed, 0])
        nested: dict[int, list[int]] = {}
        for place, (skills, _) in enumerate(self.seeds):
            nested.setdefault(skills, []).append(place)
        outer, times = list(nested.values()), np.zeros((self.count, len(self.seeds)))
        for row in times:
            for chosen in random.integers(len(outer), size=len(outer)):
                inner = outer[chosen]
                np.add.at(row, np.array(inner)[random.integers(len(inner), size=len(inner))], 1 / len(inner))
        return times

    @cached_property
    def of_records(self) -> Integers:
        """How often each record is drawn, shape (count, records)."""
        random = np.random.default_rng([self.random_seed, 1])
        names = {name: number for number, name in enumerate(dict.fromkeys(self.groups))}
        member = np.array([names[name] for name in self.groups])
        times = random.multinomial(len(names), np.full(len(names), 1 / len(names)), size=self.count)
        return np.asarray(times[:, member])

    def means(self, seeds: Seeds) -> Floats:
        """A method's metric in every draw, the mean over the seeds drawn, shape (count,)."""
        name = f"{self.count}-{self.random_seed}"
        over = np.stack([seeds[seed].over(self.of_records, name) for seed in self.seeds], 1)
        return np.asarray((over * self.of_seeds).sum(1) / self.of_seeds.sum(1))


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How much higher one method's metric is than another's, with a percentile interval and a p-value of it."""

    value: float
    low: float
    high: float
    p: float
    groups: int
    seeds: Seed
    too_small: bool
    adjusted: float = 1.0

    @property
    def shown(self) -> bool:
        """Whether it is told from zero: its corrected bounds exclude it, and there was enough to draw from."""
        return not self.too_small and (self.low > 0 or self.high < 0)

    def __str__(self) -> str:
        told = f"{self.value:+.3f} [{self.low:+.3f}, {self.high:+.3f}], p {self.adjusted:.3f}"
        if self.shown or not self.value:
            return told
        if self.too_small:
            return f"{told}; n is too small for this claim: {self.groups} groups of records can show nothing"
        wanted = math.ceil(self.groups * ((self.high - self.low) / 2 / abs(self.value)) ** 2)
        return f"{told}; n is too small for this claim: {self.groups} groups of records, and about {wanted} are needed"


def compare(
    pairs: Mapping[str, tuple[Seeds, Seeds]], *, count: int = 1000, level: float = LEVEL
) -> dict[str, Difference]:
    """The first method minus the second on each of several tasks, bounds and p-values corrected for their number.

    Holm's (1979) step-down: the k-th smallest of m p-values is held to (1 - level) / (m - k + 1), and the interval is
    as wide as that asks. Raises BadInput if two methods were not measured with the same seeds on the same records.
    """
    found = {task: _differences(task, *pair, count) for task, pair in pairs.items()}
    values = {task: p_value(each) for task, (each, _, _) in found.items()}
    adjusted, made, passed = holm(values), {}, 0
    for place, task in enumerate(sorted(values, key=values.__getitem__)):
        each, draws, value = found[task]
        alpha = (1 - level) / (len(values) - passed)
        low, high = interval(each, 1 - alpha)
        passed += passed == place and (low > 0 or high < 0)
        groups = len(set(draws.groups))
        made[task] = Difference(
            value=value, low=low, high=high, p=values[task], adjusted=adjusted[task], groups=groups,
            seeds=(len({skills for skills, _ in draws.seeds}), len(draws.seeds)),
            too_small=2.0 ** (1 - groups) > alpha or float(np.isnan(each).mean()) > UNDEFINED or count * alpha < 1,
        )  # fmt: skip
    return {task: made[task] for task in pairs}


def interval(draws: Floats, level: float = LEVEL) -> tuple[float, float]:
    """The percentile interval (Efron and Tibshirani, 1993, ch. 13); draws that are not defined are left out."""
    if np.isnan(draws).all():
        return -math.inf, math.inf
    low, high = np.nanquantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def p_value(draws: Floats) -> float:
    """The smallest two-sided level at which the percentile interval excludes zero; never below 2 / (draws + 1)."""
    draws = draws[~np.isnan(draws)]
    return min(1.0, 2 * (1 + min(int((draws <= 0).sum()), int((draws >= 0).sum()))) / (1 + len(draws)))


def holm(values: Mapping[str, float]) -> dict[str, float]:
    """Holm's adjusted p-values, by name."""
    adjusted, least = {}, 0.0
    for place, name in enumerate(sorted(values, key=values.__getitem__)):
        least = max(least, min(1.0, (len(values) - place) * values[name]))
        adjusted[name] = least
    return adjusted


def _differences(task: str, first: Seeds, second: Seeds, count: int) -> tuple[Floats, Draws, float]:
    every = [*first.values(), *second.values()]
    if not every or first.keys() != second.keys() or any(each.ids != every[0].ids for each in every):
        raise BadInput(f"Two methods on '{task}' were not measured with the same seeds on the same records: "
                       "compare what one recipe measured.")  # fmt: skip
    draws = Draws(tuple(sorted(first)), every[0].groups, count)
    value = math.fsum(first[seed].value - second[seed].value for seed in first) / len(first)
    return draws.means(first) - draws.means(second), draws, value
