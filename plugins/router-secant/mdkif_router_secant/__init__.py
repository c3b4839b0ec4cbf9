"""A router that wastes no evaluation: each step goes to the minimum of what all evaluations so far predict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

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
    from mdkif import WeightParameterization

EASE, TIGHTEN, SHARE = 0.1, 4.0, 0.1
FAR = 8.0
SAME = 1e-4


@hookimpl
def mdkif_routers() -> list[Router]:
    """One router, `secant`."""
    return [
        Router(
            name="secant",
            title="Secant steps on the blend's logits, for few evaluations and no gradient",
            target="mdkif_router_secant:Secant",
        )
    ]


@dataclass(kw_only=True)
class Secant(RouterOptimizer):
    """Broyden's idea (1965) on the answers' logits: a linear forecast, corrected by every evaluation.

    The references already tell how each skill moves every logit, so the first step is often nearly the
    last. A step that does not gain shortens the next ones, by what the forecast promised for its length.
    At most `evaluations` candidates are evaluated, and the search ends after `patience` steps that gain
    less than `tolerance` of the value. Raises BadInput for a budget below 1, and for a metric, which has
    no forecast.
    """

    evaluations: int = explained(40, "candidates at most, after the references")
    patience: int = explained(10, "steps of little gain before the search stops")
    tolerance: float = explained(1e-3, "what share of the value is little")

    def search(self, objective: Objective, seed: int, progress: Progress) -> Candidate:
        """The best candidate evaluated, references included."""
        import torch

        if self.evaluations < 1:
            raise BadInput(f"evaluations is {self.evaluations}: the secant search needs at least 1.")
        begins, space = starting_points(objective), objective.space
        found = best([*objective.references, *begins])
        if not space.directions:  # one skill, whose weight is fixed
            return found
        draw = torch.Generator().manual_seed(seed)
        seen = [reference.weights for reference in (*objective.references, *begins)]
        leash, stale = 0.0, 0
        with progress.task("router: secant", self.evaluations) as bar:
            for _ in range(self.evaluations):
                forecast = objective.surrogate(found.weights)
                starts = [space.reduce(space.parameters(each.weights)) for each in (found, *begins)]
                point = within_reach(lowest(leashed(forecast, space, found.weights, leash), starts), starts[0], space)
                while known(space.weights(space.expand(point)), seen):  # inwards, for far out a softmax is flat
                    point = 0.9 * point + 0.1 * torch.randn(point.shape, generator=draw)
                parameters = space.expand(point)
                [value] = objective.values(parameters[None])
                seen.append(space.weights(parameters))
                gain, promised = found.value - value, found.value - float(forecast(parameters))
                way = float((seen[-1] - found.weights).square().sum())
                leash = leash * EASE if gain > 0 else max(leash * TIGHTEN, SHARE * promised / way)
                stale = 0 if gain > self.tolerance * abs(found.value) else stale + 1
                if gain > 0:
                    found = objective.candidate(parameters, value)
                ended = {"stopped": f"no gain in {self.patience} steps"} if stale >= self.patience else {}
                bar.advance(best=f"{found.value:.4f}", **ended)
                if ended:
                    break
        return found


def leashed(
    forecast: Callable[[torch.Tensor], torch.Tensor], space: WeightParameterization, center: torch.Tensor, leash: float
) -> Callable[[torch.Tensor], torch.Tensor]:
    """The forecast at a point (directions,), plus `leash` times the squared way of its weights from the center."""

    def value(point: torch.Tensor) -> torch.Tensor:
        parameters = space.expand(point)
        return forecast(parameters) + leash * (space.weights(parameters) - center).square().sum()

    return value


def lowest(value: Callable[[torch.Tensor], torch.Tensor], begin: Sequence[torch.Tensor]) -> torch.Tensor:
    """The point of least forecast that L-BFGS finds from any of the starts; the first start where it finds none."""
    import torch

    ends = [(float(value(begin[0])), begin[0])]
    for start in begin:
        point = start.clone().requires_grad_(True)
        descent = torch.optim.LBFGS([point], max_iter=40, line_search_fn="strong_wolfe")

        def closure(point: torch.Tensor = point, descent: torch.optim.LBFGS = descent) -> torch.Tensor:
            descent.zero_grad()
            found = value(point)
            found.backward()
            return found

        descent.step(closure)
        end = point.detach()
        ends.append((float(value(end)), end))
    return min((each for each in ends if each[0] == each[0]), key=lambda each: each[0])[1]


def within_reach(point: torch.Tensor, start: torch.Tensor, space: WeightParameterization) -> torch.Tensor:
    """The point, drawn back towards `start` until no weight is more than `FAR` away: a forecast can fall for ever."""
    if not bool(point.isfinite().all()):
        return start
    center = space.weights(space.expand(start))
    while not float((space.weights(space.expand(point)) - center).abs().max()) <= FAR:
        point = (point + start) / 2
    return point


def known(weights: torch.Tensor, seen: Sequence[torch.Tensor]) -> bool:
    """Whether a blend is too near one of those seen to be evaluated too."""
    import torch

    return bool(((torch.stack([*seen]) - weights).abs().flatten(1).amax(1) < SAME).any())
