"""The contract of a trainer: how an adapter is attached to a frozen model, and what it does at each step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..settings import Settings, explained

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import PreTrainedModel

Loss = Callable[[], "torch.Tensor"]


@dataclass(kw_only=True)
class TuningMethod(Settings, ABC):
    """A dataclass whose fields are the trainer's settings (`--set name=value`); one object trains one adapter."""

    learning_rate: float = explained(2e-3, "the highest rate")

    @abstractmethod
    def attach(self, model: PreTrainedModel, steps: int, loss: Loss) -> PeftModel:
        """Put a fresh adapter named "default" on `model`, to be trained for `steps` optimizer steps.

        `loss` computes the cross-entropy of a first batch on the bare model, for a method that
        initialises from its gradient. Raises BadInput for settings that cannot work.
        """

    def groups(self, model: PeftModel) -> list[dict[str, Any]]:
        """Parameter groups of the optimizer; a group without "lr" gets the method's learning rate."""
        return [{"params": [p for p in model.parameters() if p.requires_grad]}]

    def penalty(self, model: PeftModel) -> torch.Tensor | None:
        """A term added to the training loss and never to an evaluation."""
        return None

    def stepped(self, model: PeftModel, step: int) -> None:
        """Called after optimizer step `step` (from 1), while gradients are alive."""

    def mean_rank(self, model: PeftModel) -> float | None:
        """The mean rank per module that is in use now, if the method changes it."""
        return None

    def state(self, model: PeftModel) -> dict[str, torch.Tensor]:
        """What must be kept, beside parameters and optimizer, to resume to the same result."""
        return {}

    def restore(self, model: PeftModel, state: Mapping[str, torch.Tensor]) -> None:
        """Take back what `state` returned."""
