"""The papers' few-shot setting: the router's a and b by CMA-ES (Hansen and Ostermeier, 1996), without a gradient."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mdkif import BadInput, Candidate, Objective, Progress, Router, RouterOptimizer, best, hookimpl

if TYPE_CHECKING:
    import torch

FEWEST = 16  # records from which a quarter of them tells candidates apart


@hookimpl
def mdkif_routers() -> list[Router]:
    """One router, `cma-es`."""
    return [Router(name="cma-es", title="CMA-ES on the router, for few examples", target="mdkif_router_cmaes:CMAES")]


@dataclass(kw_only=True)
class CMAES(RouterOptimizer):
    """CMA-ES from the best reference, whose first candidates are steps towards the others, the best of them first.

    It moves in the K - 1 directions (with a free total, K) that change the weights, not in the 2K of a and b.
    At most `evaluations` whole adaptation sets are evaluated after the references. By `successive_halving` a
    population is compared on a quarter of the records, the better half on another quarter, and the
    better half of these on all: of a quarter of the population the whole value is known. `sigma` is the
    first step size in units of the logits; the search stops early after `patience` generations without gain.
    Raises BadInput for a budget below one population.
    """

    evaluations: int = 120
    sigma: float = 0.7
    patience: int = 8
    successive_halving: bool = True

    def search(self, objective: Objective, seed: int, progress: Progress) -> Candidate:
        """The best candidate evaluated on the whole set, references included."""
        import torch

        found, spent, stale = best(objective.references), 0.0, 0
        space = objective.space
        if not space.directions:  # one skill, whose weight is fixed
            return found

        def point(weights: torch.Tensor) -> list[float]:
            return space.reduce(space.parameters(weights)).tolist()

        with quiet_strategy(point(found.weights), self.sigma, seed) as strategy:
            rungs = self._rungs(objective, strategy.popsize)
            cost = sum(places * share for places, share in rungs)
            if self.evaluations < cost:
                raise BadInput(
                    f"evaluations is {self.evaluations}: CMA-ES needs at least {cost:g}, for one population of "
                    f"{strategy.popsize}."
                )
            # pycma keeps two places of a population for itself, and refuses to go on with what found no place
            first = sorted(objective.references, key=lambda reference: reference.value)[: strategy.popsize - 2]
            strategy.inject([point(reference.weights) for reference in first])
            with progress.task("router: CMA-ES", int(self.evaluations // cost) * strategy.popsize) as bar:
                while spent + cost <= self.evaluations and stale < self.patience:
                    points = strategy.ask()
                    population = space.expand(torch.tensor([list(map(float, each)) for each in points]))
                    order, value = ranked(objective, population, [places for places, _ in rungs])
                    strategy.tell(points, [float(order.index(i)) for i in range(len(points))])
                    spent, stale = spent + cost, stale + 1
                    if value < found.value:
                        found, stale = objective.candidate(population[order[0]], value), 0
                    bar.advance(len(points), best=f"{found.value:.4f}", sigma=f"{strategy.sigma:.2f}")
        return found

    def _rungs(self, objective: Objective, size: int) -> list[tuple[int, float]]:
        """How many candidates each rung compares, and on which further share of the records."""
        if not (self.successive_halving and objective.supports_minibatch and len(objective.examples) >= FEWEST):
            return [(size, 1.0)]
        return [(size, 0.25), (-(-size // 2), 0.25), (-(-size // 4), 0.5)]


def ranked(objective: Objective, population: torch.Tensor, places: Sequence[int]) -> tuple[list[int], float]:
    """The candidates from best to worst, and the first one's value over the whole set.

    The subsets double: of three rungs the first has a quarter of the records, the last all of them.
    """
    order, value = list(range(len(population))), 0.0
    for rung, running in enumerate(places):
        share = 2 ** (len(places) - 1 - rung)
        rows = range(len(objective.examples) // share) if share > 1 else None
        values = dict(zip(order[:running], objective.values(population[order[:running]], rows), strict=True))
        order[:running] = sorted(values, key=values.__getitem__)
        value = values[order[0]]
    return order, value


@contextmanager
def quiet_strategy(start: list[float], sigma: float, seed: int) -> Iterator:  # type: ignore[type-arg]
    """pycma's strategy, kept from reading or writing files and from leaving NumPy's random state changed."""
    import numpy

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Could not import matplotlib")  # nothing is plotted
        import cma

    state = numpy.random.get_state()
    options = {"seed": seed + 1, "verbose": -10, "verb_log": 0, "signals_filename": "", "verb_disp": 0}
    try:
        yield cma.CMAEvolutionStrategy(start, sigma, options)
    finally:
        numpy.random.set_state(state)
