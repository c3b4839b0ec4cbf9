"""Stage II: how many candidates LoraHub's search needs to come near the best, beside how many CMA-ES needs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mdkif import BadInput, Candidate, Progress, Router, SkillBank, Space

from .material import Bench, random_ids, random_weights
from .timing import Row, at_least, row

SEEDS, BUDGET, RECORDS, LENGTH = 5, 150, 4, 8
NEAR, WORTH = 1.01, 1.5
SIZE = 4.0  # skills so large that what one does depends on the others


class Planted:
    """The cross-entropy of a blend's next tokens from those of a blend with known weights, over a few short records.

    The known weights, which every router can reach, are its least value, `least`; nothing is fitted by chance.
    Predictions are sharpened until the base's value is half as much again. `found` keeps every value in order.
    """

    examples: Sequence[object] = ()

    def __init__(self, bench: Bench, bank: SkillBank, seed: int) -> None:
        self._model, self._bank = bench.base.model, bank
        self._ids = random_ids(bench.base, RECORDS, LENGTH, seed=seed).to(self._model.device)
        count = len(bank.names)
        self.space = Space(bank.norms())
        self.planted = random_weights(count, seed)
        self.found: list[float] = []
        self._sharpness = 0.5
        self.least, base = 1.0, 0.0
        while base < WORTH * self.least:
            self._sharpness *= 2
            self._wanted = self._predictions(self.planted[None])[0].exp()
            self.least, base = self._entropies(torch.stack([self.planted, torch.zeros(count)]))
        names = ["base", *bank.names, "uniform"]
        points = torch.cat([torch.zeros(1, count), torch.eye(count), torch.full((1, count), 1 / count)])
        self.references = [Candidate(*each) for each in zip(points, self.at(points), names, strict=True)]

    def at(self, weights: torch.Tensor) -> list[float]:
        """The value of each candidate; those asked for together share a forward pass."""
        values = self._entropies(weights)
        self.found += values
        return values

    def values(self, parameters: torch.Tensor) -> list[float]:
        """The value of each candidate, given by its parameters."""
        return self.at(self.space.weights(parameters))

    def gradient(self, parameters: torch.Tensor, rows: Sequence[int] | None = None) -> tuple[float, torch.Tensor]:
        """Refused: the searches compared need none."""
        raise BadInput("The benchmark's objective gives no gradient: compare routers that need none.")

    def candidate(self, parameters: torch.Tensor, value: float) -> Candidate:
        """Parameters that were evaluated, as weights."""
        return Candidate(self.space.weights(parameters), value)

    def _entropies(self, weights: torch.Tensor) -> list[float]:
        each = -(self._wanted * self._predictions(weights)).sum(-1)
        return [float(value) for value in each.mean(-1)]

    @torch.no_grad()
    def _predictions(self, weights: torch.Tensor) -> torch.Tensor:
        """Log-probabilities (candidates, records, vocabulary) of what comes after each record."""
        rows = self._ids.repeat(len(weights), 1)
        with self._bank.blend(weights.float().repeat_interleave(RECORDS, 0)):
            logits = self._model(input_ids=rows, logits_to_keep=1, use_cache=False).logits[:, -1]
        return torch.log_softmax(logits.float() * self._sharpness, -1).view(len(weights), RECORDS, -1).cpu()


def search(bench: Bench) -> Row:
    """Evaluations until a value within 1 % of the best that either finds, the median of five objectives.

    The references, which CMA-ES starts from, count as its evaluations; LoraHub starts from none. A search
    that does not get there counts as one evaluation more than the budget that both have.
    """
    bank = bench.bank(size=SIZE)
    ours, peer = [], []
    for seed in range(SEEDS):
        by_cma_es, by_lorahub = (values(bench, bank, router, seed) for router in ("cma-es", "lorahub"))
        enough = NEAR * min(*by_cma_es, *by_lorahub)
        ours.append(first_below(by_cma_es, enough))
        peer.append(first_below(by_lorahub, enough))
    late = [sum(count > BUDGET for count in counts) for counts in (peer, ours)]
    note = f"not there after {BUDGET} evaluations: LoraHub in {late[0]}, CMA-ES in {late[1]} of {SEEDS}"
    name = f"LoraHub's evaluations to within 1 % of the best blend of {bench.skills} / CMA-ES's"
    return row(name, (ours, peer), at_least(2.0), "evaluations") | {"note": note if any(late) else ""}


def values(bench: Bench, bank: SkillBank, router: str, seed: int) -> list[float]:
    """Every value a router meets, in order, within the budget."""
    objective = Planted(bench, bank, seed)
    if router == "lorahub":
        objective.found.clear()
    optimizer = bench.kit.plugins.get(Router, router).load()(evaluations=BUDGET - len(objective.found))
    optimizer.search(objective, seed, Progress())
    return objective.found


def first_below(values: Sequence[float], enough: float) -> int:
    """The number of the first value that is low enough; one more than the budget where there is none."""
    return next((i for i, value in enumerate(values, 1) if value <= enough), BUDGET + 1)
