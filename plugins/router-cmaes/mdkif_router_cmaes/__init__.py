"""The papers' few-shot setting: the router's a and b by CMA-ES (Hansen and Ostermeier, 1996), without a gradient."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from mdkif import (
    BadInput,
    Candidate,
    Objective,
    Progress,
    Router,
    RouterOptimizer,
    best,
    explained,
    hookimpl,
    starting_points,
)

if TYPE_CHECKING:
    import torch

FEWEST = 16  # records from which a quarter of them tells candidates apart


@hookimpl
def mdkif_routers() -> list[Router]:
    """One router, `cma-es`."""
    return [Router(name="cma-es", title="CMA-ES on the router, for few examples", target="mdkif_router_cmaes:CMAES")]


@dataclass(kw_only=True)
class CMAES(RouterOptimizer):
    """CMA-ES from several points at once; the first candidates are steps towards the references, the best first.

    `start` "several" searches from the best single skill and from uniform in turn, and with the second half
    of the budget only from where the better candidate came; "best" from the best reference alone.
    It moves in the K - 1 directions (with a free total, or signed weights, K) that change the weights, not in
    the 2K of a and b. At most `evaluations` whole adaptation sets are evaluated after the references. By
    `successive_halving` a population is compared on a quarter of the records, the better half on another
    quarter, and the better half of these on all: of a quarter of the population the whole value is known. The
    records of each quarter are drawn anew for every population. `sigma` is the first step size in units of the
    logits; a search stops early after `patience` generations without gain.
    Raises BadInput for a budget below one population.
    """

    evaluations: int = explained(120, "whole adaptation sets at most, after the references")
    sigma: float = explained(0.7, "first step size, in units of the logits", above=0.0, below=1e6)
    patience: int = explained(8, "generations without gain before the search from a start stops")
    successive_halving: bool = explained(
        True, "whether fewer and fewer candidates are compared on growing parts of the records"
    )
    start: Literal["several", "best"] = explained(
        "several",
        "several: from the best single skill and from uniform in turn, then from the better; best: the best reference",
    )

    def search(self, objective: Objective, seed: int, progress: Progress) -> Candidate:
        """The best candidate evaluated on the whole set, references included."""
        space, known = objective.space, [*objective.references, *starting_points(objective)]
        if not space.directions:  # one skill, whose weight is fixed
            return best(known)

        def point(weights: torch.Tensor) -> list[float]:
            return space.reduce(space.parameters(weights)).tolist()

        starts = sorted(starting_points(objective), key=lambda start: start.value)
        begins = starts if self.start == "several" else [best(known)]
        draw = random.Random(f"cma-es:{seed}")
        with quiet_numpy():
            ways = [_Way(each, point(each.weights), self.sigma, seed) for each in begins]
            size = ways[0].strategy.popsize
            rungs = self._rungs(objective, size)
            cost, spent = sum(places * share for places, share in rungs), 0.0
            if self.evaluations < cost:
                raise BadInput(
                    f"evaluations is {self.evaluations}: CMA-ES needs at least {cost:g}, for one population of {size}."
                )
            # pycma keeps two places of a population for itself, and refuses to go on with what found no place
            first = sorted(known[: len(objective.references)], key=lambda reference: reference.value)[: size - 2]
            for way in ways:
                way.strategy.inject([point(reference.weights) for reference in first])
            total = int(self.evaluations // cost) * size
            with progress.task("router: CMA-ES", total) as bar:
                while ways and spent + cost <= self.evaluations:
                    if 2 * spent >= self.evaluations:
                        ways = [min(ways, key=lambda way: way.found.value)]
                    way = min(ways, key=lambda way: way.generations)
                    order = draw.sample(range(len(objective.examples)), len(objective.examples))
                    way.step(objective, [places for places, _ in rungs], order)
                    spent += cost
                    ways = [each for each in ways if each.stale < self.patience]
                    known.append(way.found)
                    figures = {"best": f"{best(known).value:.4f}", "sigma": f"{way.strategy.sigma:.2f}"}
                    bar.advance(size, **figures, **({} if ways else {"stopped": f"no gain in {self.patience} rounds"}))
        return best(known)

    def _rungs(self, objective: Objective, size: int) -> list[tuple[int, float]]:
        """How many candidates each rung compares, and on which further share of the records."""
        if not (self.successive_halving and objective.supports_minibatch and len(objective.examples) >= FEWEST):
            return [(size, 1.0)]
        return [(size, 0.25), (-(-size // 2), 0.25), (-(-size // 4), 0.5)]


class _Way:
    """One strategy from one start: what it found, and for how many generations it gained nothing."""

    def __init__(self, start: Candidate, point: list[float], sigma: float, seed: int) -> None:
        self.found, self.generations, self.stale = start, 0, 0
        self.strategy = quiet_strategy(point, sigma, seed)

    def step(self, objective: Objective, places: Sequence[int], records: Sequence[int]) -> None:
        """One generation, compared by rungs on growing parts of the records in this order."""
        import torch

        points = self.strategy.ask()
        population = objective.space.expand(torch.tensor([list(map(float, each)) for each in points]))
        order, value = ranked(objective, population, places, records)
        self.strategy.tell(points, [float(order.index(i)) for i in range(len(points))])
        self.generations, self.stale = self.generations + 1, self.stale + 1
        if value < self.found.value:
            self.found, self.stale = objective.candidate(population[order[0]], value), 0


def ranked(
    objective: Objective, population: torch.Tensor, places: Sequence[int], records: Sequence[int]
) -> tuple[list[int], float]:
    """The candidates from best to worst, and the first one's value over the whole set.

    The subsets double: of three rungs the first has the first quarter of the records, the last all of them.
    """
    order, value = list(range(len(population))), 0.0
    for rung, running in enumerate(places):
        share = 2 ** (len(places) - 1 - rung)
        rows = records[: len(records) // share] if share > 1 else None
        values = dict(zip(order[:running], objective.values(population[order[:running]], rows), strict=True))
        order[:running] = sorted(values, key=values.__getitem__)
        value = values[order[0]]
    return order, value


def quiet_strategy(start: list[float], sigma: float, seed: int) -> Any:
    """pycma's strategy, kept from reading or writing files."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Could not import matplotlib")  # nothing is plotted
        import cma

    options = {"seed": seed + 1, "verbose": -10, "verb_log": 0, "signals_filename": "", "verb_disp": 0}
    return cma.CMAEvolutionStrategy(start, sigma, options)


@contextmanager
def quiet_numpy() -> Iterator[None]:
    """Within the block NumPy's random state may be changed, as pycma does; then it is put back."""
    import numpy

    state = numpy.random.get_state()
    try:
        yield
    finally:
        numpy.random.set_state(state)
