"""A metric of the task's evaluator as what a router minimises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NoReturn

import torch

from ..contract.declarations import Evaluator, Task
from ..contract.discovery import Plugins
from ..errors import BadInput
from ..hashing import digest
from ..inference.predict import Answering, predict
from ..inference.predictions import metrics_of
from ..workspace import Workspace

if TYPE_CHECKING:
    from ..adapters.bank import SkillBank
    from ..prompts.encoding import Encoded, Encoder
    from .cache import EvaluationCache


class Metric:
    """A metric of the whole adaptation set, negated where higher is better; it has no parts and no gradient.

    `evaluations` counts what was computed and not found in the cache.
    """

    supports_minibatch = False

    def __init__(
        self,
        plugins: Plugins,
        task: Task,
        encoder: Encoder,
        bank: SkillBank,
        examples: Sequence[Encoded],
        cache: EvaluationCache,
        name: str,
    ) -> None:
        self._task, self._encoder = task, encoder
        self._bank, self._examples, self._cache, self._name = bank, examples, cache, name
        self._evaluator = plugins.get(Evaluator, task.evaluator)
        self.evaluations = 0.0

    def values(self, weights: torch.Tensor, rows: Sequence[int] | None = None) -> list[float]:
        """The metric of each blend, weights (P, *bank.shape). Raises BadInput for a part of the examples."""
        if rows is not None:
            raise BadInput(f"The objective '{self._name}' is a metric of the whole adaptation set.")
        for each in weights:
            if not self._cache.get(digest(each)):
                self._cache.put(digest(each), {0: self._evaluate(each)})
        return [self._cache.get(digest(each))[0] for each in weights]

    def gradient(self, weights: torch.Tensor, rows: Sequence[int] | None = None) -> NoReturn:
        """Refused with BadInput."""
        self._lacks("gradient")

    def surrogate(self, near: torch.Tensor, seeds: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        """Refused with BadInput."""
        self._lacks("surrogate")

    def _evaluate(self, weights: torch.Tensor) -> float:
        with self._bank.applied(weights), torch.no_grad():
            predictions = predict(self._encoder, self._examples, Answering.of(self._task))
        value = metrics_of(self._evaluator, predictions, predictions).get(self._name)
        if value is None:
            raise BadInput(
                f"The objective '{self._name}' is undefined on these {len(self._examples)} records: "
                "use more shots or another seed, or a loss."
            )
        self.evaluations += 1
        return -float(value) if self._evaluator.metrics[self._name] else float(value)

    def _lacks(self, what: str) -> NoReturn:
        raise BadInput(f"The objective '{self._name}' has no {what}: use --router cma-es for a metric.")


def check_metric(workspace: Workspace, task: Task, name: str, others: Sequence[str]) -> None:
    """Raise BadInput if the task's evaluator has no metric of that name; `others` are objectives it could be too."""
    known = workspace.plugins.get(Evaluator, task.evaluator).metrics
    if name not in known:
        offers = ", ".join((*others, *known))
        raise BadInput(f"The objective cannot be '{name}': the task '{task.name}' offers {offers}.")
