"""An objective whose best weights are known, for the search of a router optimizer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from ..routing.optimizer import Candidate

if TYPE_CHECKING:
    import torch

BEST = (0.6, 0.3, 0.1)


class Bowl:
    """The squared distance of the weights from `target`, as an objective that remembers what it was asked.

    `norms` (K,) and `scale` are those of its `WeightParameterization`; `examples` is how many there are, of
    which every part gives the same value. What is evaluated again, on the same examples, costs nothing, as
    with the objective of stage II.

    `populations` are the parameters (P, size) given to `values`, `rows` how many examples each was to be
    evaluated on, `seen` all weights (K,) that were evaluated, and `batches` the rows of each gradient.
    """

    supports_minibatch = True

    def __init__(
        self,
        target: Sequence[float] | torch.Tensor = BEST,
        *,
        norms: torch.Tensor | None = None,
        scale: Literal["one", "free", "signed"] = "one",
        examples: int = 16,
    ) -> None:
        import torch

        from ..routing.weights import WeightParameterization

        self.target = torch.as_tensor(target)
        shape, count = self.target.shape, self.target.shape[-1]
        self.space = WeightParameterization.of(torch.ones(shape) if norms is None else norms, scale)
        self.examples: Sequence[object] = range(examples)
        self.populations: list[torch.Tensor] = []
        self.rows: list[int] = []
        self.seen: list[torch.Tensor] = []
        self.batches: list[Sequence[int] | None] = []
        self._known = set[tuple[str, int]]()
        named = {"base": torch.zeros(count)}
        named |= {f"skill {i}": row for i, row in enumerate(torch.eye(count))}
        named["uniform"] = torch.full((count,), 1 / count)
        self.references = [
            Candidate(row.expand(shape), self.value(row.expand(shape)), name) for name, row in named.items()
        ]

    @property
    def evaluations(self) -> float:
        """How often the whole set of examples was evaluated, a gradient counted once."""
        return len(self.batches) + len(self._known) / max(len(self.examples), 1)

    def value(self, weights: torch.Tensor) -> float:
        """The objective at weights (K,); a test may override it."""
        return float((weights - self.target).square().sum())

    def values(self, parameters: torch.Tensor, rows: Sequence[int] | None = None) -> list[float]:
        """The value of each row of a population, (P, size)."""
        self.populations.append(parameters.detach().clone())
        self.rows.append(len(self.examples) if rows is None else len(rows))
        return self.evaluate_weights(self.space.weights(parameters.float()), rows)

    def evaluate_weights(self, weights: torch.Tensor, rows: Sequence[int] | None = None) -> list[float]:
        """The value of each row of weights, (P, K)."""
        examples = range(len(self.examples)) if rows is None else rows
        self.seen += list(weights)
        self._known |= {(str(row.tolist()), example) for row in weights for example in examples}
        return [self.value(row) for row in weights.float()]

    def gradient(self, parameters: torch.Tensor, rows: Sequence[int] | None = None) -> tuple[float, torch.Tensor]:
        """The value and gradient at (size,)."""
        self.batches.append(rows)
        leaf = parameters.detach().float().requires_grad_(True)
        value = (self.space.weights(leaf) - self.target).square().sum()
        value.backward()
        assert leaf.grad is not None
        return value.item(), leaf.grad.detach()

    def surrogate(self, near: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        """The values themselves, but for a shift that grows with the way from `near`."""
        return lambda parameters: (
            (self.space.weights(parameters) - self.target).square().sum()
            + 0.1 * (self.space.weights(parameters) - near).square().sum()
        )

    def candidate(self, parameters: torch.Tensor, value: float) -> Candidate:
        """Parameters as weights."""
        return Candidate(self.space.weights(parameters.float()).detach(), value)
