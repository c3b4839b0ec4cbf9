"""Stage II: how many candidates LoraHub's search needs to come near the best, beside how many our searches need."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

import torch
from mdkif import BadInput, Candidate, Progress, Router, SkillBank, Surrogate, WeightParameterization

from .material import Bench, last_logits, random_ids, random_weights
from .timing import Row, at_least, row

SEEDS, BUDGET, RECORDS, LENGTH, TOKENS = 5, 150, 4, 8, 256
NEAR, WORTH = 1.01, 1.5
SIZE = 1.0  # of the skills' updates, in spectral norms of about that of the weights


class Planted:
    """The cross-entropy of a blend's next tokens from those of a blend with known weights, over a few short records.

    The known weights, which every router can reach, are its least value, `least`; nothing is fitted by chance.
    Predicted are the tokens that blend finds likeliest, sharpened until the base's value is half as much again.
    `found` keeps every value in order.
    """

    examples: Sequence[object] = ()
    supports_minibatch = False

    def __init__(self, bench: Bench, bank: SkillBank, seed: int) -> None:
        self._model, self._bank = bench.base.model, bank
        self._ids = random_ids(bench.base, RECORDS, LENGTH, seed=seed).to(self._model.device)
        count = len(bank.names)
        self.space = WeightParameterization(bank.norms())
        self.planted = random_weights(count, seed)
        self.found: list[float] = []
        self._surrogate = Surrogate()
        self._sharpness = 0.5
        likeliest = self._logits(self.planted[None]).topk(min(TOKENS, bench.base.model.config.vocab_size), -1)
        self._tokens = likeliest.indices
        self.least, base = 1.0, 0.0
        while base < WORTH * self.least:
            self._sharpness *= 2
            self._wanted = self._predictions(self.planted[None])[0].exp()
            self.least, base = self._entropies(self._predictions(torch.stack([self.planted, torch.zeros(count)])))
        names = ["base", *bank.names, "uniform"]
        points = torch.cat([torch.zeros(1, count), torch.eye(count), torch.full((1, count), 1 / count)])
        self.references = [Candidate(*each) for each in zip(points, self.evaluate_weights(points), names, strict=True)]

    def evaluate_weights(self, weights: torch.Tensor) -> list[float]:
        """The value of each candidate; those asked for together share a forward pass."""
        predictions = self._predictions(weights)
        for each, logits in zip(weights, predictions, strict=True):
            self._surrogate.note(each, logits)
        values = self._entropies(predictions)
        self.found += values
        return values

    def values(self, parameters: torch.Tensor, rows: Sequence[int] | None = None) -> list[float]:
        """The value of each candidate, given by its parameters."""
        return self.evaluate_weights(self.space.weights(parameters))

    def surrogate(self, near: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        """What the evaluations so far predict."""
        forecast, wanted = self._surrogate.around(near), self._wanted
        return lambda parameters: (
            -(wanted * torch.log_softmax(forecast(self.space.weights(parameters)), -1)).sum(-1).mean()
        )

    def gradient(self, parameters: torch.Tensor, rows: Sequence[int] | None = None) -> tuple[float, torch.Tensor]:
        """Refused: the searches compared need none."""
        raise BadInput("The benchmark's objective gives no gradient: compare routers that need none.")

    def candidate(self, parameters: torch.Tensor, value: float) -> Candidate:
        """Parameters that were evaluated, as weights."""
        return Candidate(self.space.weights(parameters), value)

    def _entropies(self, predictions: torch.Tensor) -> list[float]:
        return [float(value) for value in -(self._wanted * predictions).sum(-1).mean(-1)]

    def _predictions(self, weights: torch.Tensor) -> torch.Tensor:
        """Log-probabilities (candidates, records, tokens) of what comes after each record."""
        logits = self._logits(weights)
        chosen = logits.gather(-1, self._tokens.expand(len(weights), -1, -1))
        return torch.log_softmax(chosen * self._sharpness, -1).cpu()

    def _logits(self, weights: torch.Tensor) -> torch.Tensor:
        rows = self._ids.repeat(len(weights), 1)
        with self._bank.blend(weights.float().repeat_interleave(RECORDS, 0)):
            logits = last_logits(self._model, rows)
        found: torch.Tensor = logits.float().view(len(weights), RECORDS, -1)
        return found


def search(bench: Bench) -> Row:
    """Evaluations until a value within 1 % of the best that any of the searches finds, the median of five objectives.

    The references, which our searches start from, count as their evaluations; LoraHub starts from none. A
    search that does not get there counts as one evaluation more than the budget that all have.
    """
    bank = bench.bank(size=SIZE)
    counts: dict[str, list[int]] = {router: [] for router in ("secant", "cma-es", "lorahub")}
    for seed in range(SEEDS):
        found = {router: values(bench, bank, router, seed) for router in counts}
        enough = NEAR * min(min(each) for each in found.values())
        for router, each in found.items():
            counts[router].append(first_below(each, enough))
    late = ", ".join(f"{router} in {sum(c > BUDGET for c in each)}" for router, each in counts.items())
    middle = statistics.median(counts["cma-es"])
    name = f"LoraHub's evaluations to within 1 % of the best blend of {bench.skills} / the secant router's"
    note = f"CMA-ES needs {middle:g}; not there after {BUDGET} evaluations, of {SEEDS} searches: {late}"
    return row(name, (counts["secant"], counts["lorahub"]), at_least(2.0), "evaluations") | {"note": note}


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
