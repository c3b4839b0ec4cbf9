"""Any of PEFT's methods, tuned on a few records."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from ..adapters.artifact import peft_applied
from ..models.base import Base
from .fit import Tunable

if TYPE_CHECKING:
    from peft import PeftConfig


@dataclass(frozen=True)
class PeftTunable(Tunable):
    """What a PEFT configuration puts on a model: adapters, a prompt or a prefix."""

    config: PeftConfig

    @contextmanager
    def fresh(self, base: Base, seed: int) -> Iterator[tuple[Base, Sequence[torch.Tensor]]]:
        """The base within PEFT's own model, without dropout, as PEFT initialises it."""
        from peft import get_peft_model

        def attach(model: Any) -> Any:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                return get_peft_model(model, copy.deepcopy(self.config))

        with peft_applied(base, attach) as adapted:
            yield adapted, [each for each in adapted.model.parameters() if each.requires_grad]
