"""The papers' few-shot setting: the router's a and b by CMA-ES (Hansen and Ostermeier, 1996), without a gradient."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from mdkif import BadInput, Candidate, Objective, Optimizer, Progress, Router, best, hookimpl


@hookimpl
def mdkif_routers() -> list[Router]:
    """One router, `cma-es`."""
    return [Router(name="cma-es", title="CMA-ES on the router, for few examples", target="mdkif_router_cmaes:CMAES")]


@dataclass(kw_only=True)
class CMAES(Optimizer):
    """CMA-ES from the best reference, whose first candidates are steps towards the others, the best of them first.

    At most `evaluations` candidates are evaluated after the references; `sigma` is the first step
    size in units of the logits; the search stops early after `patience` generations without gain.
    Raises BadInput for a budget below one population.
    """

    evaluations: int = 120
    sigma: float = 0.7
    patience: int = 8

    def search(self, objective: Objective, seed: int, progress: Progress) -> Candidate:
        """The best candidate evaluated, references included; whole populations share forward passes."""
        import torch

        found = best(objective.references)
        space, stale = objective.space, 0
        with quiet_strategy(space.parameters(found.weights).tolist(), self.sigma, seed) as strategy:
            if self.evaluations < strategy.popsize:
                raise BadInput(
                    f"evaluations is {self.evaluations}: CMA-ES needs at least one population of {strategy.popsize}."
                )
            # pycma keeps two places of a population for itself, and refuses to go on with what found no place
            first = sorted(objective.references, key=lambda reference: reference.value)[: strategy.popsize - 2]
            strategy.inject([space.parameters(reference.weights).tolist() for reference in first])
            with progress.task("router: CMA-ES", self.evaluations // strategy.popsize * strategy.popsize) as bar:
                while strategy.countevals + strategy.popsize <= self.evaluations and stale < self.patience:
                    points = strategy.ask()
                    population = torch.tensor([list(map(float, point)) for point in points])
                    values = objective.values(population)
                    strategy.tell(points, values)
                    least = min(range(len(values)), key=values.__getitem__)
                    stale = 0 if values[least] < found.value else stale + 1
                    if values[least] < found.value:
                        found = objective.candidate(population[least], values[least])
                    bar.advance(len(points), best=f"{found.value:.4f}", sigma=f"{strategy.sigma:.2f}")
        return found


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
