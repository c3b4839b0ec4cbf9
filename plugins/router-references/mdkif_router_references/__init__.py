"""The papers' two reference routers: every skill equally (average), and the best skill alone (single)."""

from __future__ import annotations

from dataclasses import dataclass

from mdkif import Candidate, Objective, Progress, Router, RouterOptimizer, hookimpl, starting_points


@hookimpl
def mdkif_routers() -> list[Router]:
    """Two routers, `uniform` and `single`."""
    return [
        Router(name="uniform", title="Every skill with weight 1/K", target="mdkif_router_references:Uniform"),
        Router(name="single", title="The one skill that does best", target="mdkif_router_references:Single"),
    ]


@dataclass(kw_only=True)
class Uniform(RouterOptimizer):
    """STAF-LLM's average: weight c/K for each of K skills; c is 1 unless the total is free, then the best of a few."""

    def search(self, objective: Objective, seed: int, progress: Progress) -> Candidate:
        """The reference named uniform, or a multiple of it."""
        return starting_points(objective)[-1]


@dataclass(kw_only=True)
class Single(RouterOptimizer):
    """STAF-LLM's single: weight c for the skill that does best alone on the adaptation set, 0 for all others."""

    def search(self, objective: Objective, seed: int, progress: Progress) -> Candidate:
        """The single-skill reference of the lowest objective, the first of equals, or a multiple of it."""
        return starting_points(objective)[0]
