"""A router: random steps from the best so far."""

from dataclasses import dataclass

from mdkif import Router, RouterOptimizer, best, hookimpl


@hookimpl
def mdkif_routers():
    """The router."""
    return [Router(name="case", title="Random steps", target=f"{__name__}:Steps")]


@dataclass(kw_only=True)
class Steps(RouterOptimizer):
    """Its field is a setting."""

    evaluations: int = 200

    def search(self, objective, seed, progress):
        """The best of all that were tried, references included."""
        import torch

        draw = torch.Generator().manual_seed(seed)
        found = best(objective.references)
        for _ in range(self.evaluations):
            step = 0.5 * torch.randn(1, objective.space.size, generator=draw)
            point = objective.space.parameters(found.weights) + step
            [value] = objective.values(point)
            found = best([found, objective.candidate(point[0], value)])
        return found
