"""LoraHub (Huang et al., 2023), for comparison: a gradient-free search of the skills' weights themselves."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

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

COBYLA_UP_TO = 50  # evaluations for each weight; beyond, NGOpt takes methods that fail with NumPy 2.4


@hookimpl
def mdkif_routers() -> list[Router]:
    """One router, `lorahub`."""
    return [
        Router(
            name="lorahub",
            title="LoraHub's search: weights of either sign, by nevergrad, for comparison",
            target="mdkif_router_lorahub:LoraHub",
        )
    ]


@dataclass(kw_only=True)
class LoraHub(RouterOptimizer):
    """NGOpt over weights in [-`bound`, `bound`], from 0, minimising loss + `l1` * sum |w_i| / K.

    Exactly `evaluations` candidates are evaluated, one after the other. The weights are free, whatever
    `scale` says; with finer granularity K is the number of all weights. NGOpt takes COBYLA here, which
    draws no random number, so seeds differ in the records they draw only. Raises BadInput for more than
    50 evaluations for each weight, or none.
    """

    evaluations: int = explained(40, "candidates evaluated after the references")
    bound: float = explained(1.5, "weights are searched from -bound to bound")
    l1: float = explained(0.05, "factor of the mean absolute weight, added to the loss")

    def search(self, objective: Objective, seed: int, progress: Progress) -> Candidate:
        """The candidate of least loss with the L1 term or, if it has a lower loss without it, a reference."""
        import torch

        shape = tuple(objective.space.norms.shape)
        most = COBYLA_UP_TO * objective.space.norms.numel()
        if not 1 <= self.evaluations <= most:
            raise BadInput(f"evaluations is {self.evaluations}: LoraHub's search takes 1 to {most} here, 50 a weight.")
        found, least = best(objective.references), float("inf")
        with (
            quiet_ngopt(shape, self.bound, self.evaluations, seed) as strategy,
            progress.task("router: LoraHub", self.evaluations) as bar,
        ):
            for _ in range(self.evaluations):
                point = strategy.ask()
                weights = torch.tensor(point.value, dtype=torch.float32)
                [value] = objective.evaluate_weights(weights[None])
                penalised = value + self.l1 * float(weights.abs().mean())
                strategy.tell(point, penalised)
                if penalised < least:
                    found, least = Candidate(weights, value), penalised
                bar.advance(best=f"{least:.4f}")
        return best([*objective.references, *starting_points(objective), found])


@contextmanager
def quiet_ngopt(shape: Sequence[int], bound: float, budget: int, seed: int) -> Iterator[Any]:
    """NGOpt from 0, kept from warning, from NumPy's random state and from leaving its thread behind."""
    import numpy

    state = numpy.random.get_state()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Could not import matplotlib")  # nothing is plotted
        warnings.filterwarnings("ignore", "COBYLA: Invalid")  # of the tolerance 0 that nevergrad asks for
        try:
            import nevergrad  # draws from NumPy's random state when it is imported

            array = nevergrad.p.Array(init=numpy.zeros(shape), lower=-bound, upper=bound)
            array.random_state = numpy.random.RandomState(seed)
            strategy = nevergrad.optimizers.NGOpt(array, budget=budget)
            try:
                yield strategy
            finally:
                # COBYLA waits in a thread for its next value, and would keep the process from ending after an error
                if (thread := getattr(strategy.optim, "_messaging_thread", None)) is not None:
                    thread.stop()
                    thread._thread.join()
        finally:
            numpy.random.set_state(state)
