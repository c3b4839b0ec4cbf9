"""The papers' two reference routers: every skill equally (average), and the best skill alone (single)."""

from __future__ import annotations

from dataclasses import dataclass

from mdkif import Candidate, Objective, Progress, Router, RouterOptimizer, hookimpl


@hookimpl
def mdkif_routers() -> list[Router]:
    """Two routers, `uniform` and `single`."""
    return [
        Router(name="uniform", title="Every skill with weight 1/K", target="mdkif_router_references:Uniform"),
        Router(name="single", title="The one skill that does best", target="mdkif_router_references:Single"),
    ]


@dataclass(kw_only=True)
class Uniform(RouterOptimizer):
    """STAF-LLM's average: weight 1/K for each of K skills."""

    def search(self, objective: Objective, seed: int, progress: Progress) -> Candidate:
        """The reference named uniform."""
        return next(candidate for candidate in objective.references if candidate.name == "uniform")


@dataclass(kw_only=True)
class Single(RouterOptimizer):
    """STAF-LLM's single: weight 1 for the skill that does best on the adaptation set, 0 for all others."""

    def search(self, objective: Objective, seed: int, progress: Progress) -> Candidate:
        """The single-skill reference of the lowest objective; the first of equals."""
        singles = [candidate for candidate in objective.references if candidate.name not in ("base", "uniform")]
        return min(singles, key=lambda candidate: candidate.value)
