"""Routers that choose without a search: every skill equally (average), the best skill alone (single), or none."""

from __future__ import annotations

from dataclasses import dataclass

from mdkif import (
    BadInput,
    Candidate,
    Objective,
    Progress,
    Router,
    RouterOptimizer,
    at_best_total,
    explained,
    hookimpl,
    starting_points,
)


@hookimpl
def mdkif_routers() -> list[Router]:
    """Three routers, `uniform`, `single` and `base`."""
    return [
        Router(name="uniform", title="Every skill with weight 1/K", target="mdkif_router_references:Uniform"),
        Router(name="single", title="The one skill that does best", target="mdkif_router_references:Single"),
        Router(name="base", title="No skill: where tuning may begin", target="mdkif_router_references:Base"),
    ]


@dataclass(kw_only=True)
class Uniform(RouterOptimizer):
    """STAF-LLM's average: weight c/K for each of K skills; c is 1 unless the total is free, then the best of a few."""

    def search(self, objective: Objective, seed: int, progress: Progress) -> Candidate:
        """The reference named uniform, or a multiple of it."""
        return starting_points(objective)[-1]


@dataclass(kw_only=True)
class Single(RouterOptimizer):
    """STAF-LLM's single: weight c for one skill, 0 for all others; c is 1 unless the total is free.

    The paper takes the expert that corresponds to the task, which `skill` names. Without it, it is the skill that does
    best alone on the adaptation set.
    """

    skill: str = explained("", "the skill that corresponds to the task; without it the one that does best alone")

    def search(self, objective: Objective, seed: int, progress: Progress) -> Candidate:
        """The reference of that skill or of the lowest objective, the first of equals, or a multiple of it.

        Raises BadInput for a skill that is not blended here.
        """
        if not self.skill:
            return starting_points(objective)[0]
        _, *singles, _ = objective.references
        named = {each.name: each for each in singles}
        if self.skill not in named:
            raise BadInput(
                f"The setting skill cannot be '{self.skill}': name one of the skills given, {', '.join(named)}."
            )
        return at_best_total(objective, named[self.skill])


@dataclass(kw_only=True)
class Base(RouterOptimizer):
    """Weight 0 for every skill: the base model as it is, on which `--tune` trains a LoRA for comparison."""

    def search(self, objective: Objective, seed: int, progress: Progress) -> Candidate:
        """The reference named base."""
        return objective.references[0]
