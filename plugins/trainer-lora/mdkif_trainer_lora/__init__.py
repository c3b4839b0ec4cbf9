"""Plain LoRA (Hu et al., 2021) as a skill trainer: the quick reference beside AdaLoRA."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mdkif import BadInput, Loss, Trainer, TuningMethod, explained, hookimpl

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel


@hookimpl
def mdkif_trainers() -> list[Trainer]:
    """One trainer, `lora`."""
    return [Trainer(name="lora", title="LoRA: fixed rank, quick to learn", target="mdkif_trainer_lora:LoRA")]


@dataclass(kw_only=True)
class LoRA(TuningMethod):
    """Settings of plain LoRA on all linear layers of the transformer blocks.

    `alpha` is PEFT's `lora_alpha`: the update is B A alpha/rank. Raises BadInput for a rank below 1.
    """

    rank: int = explained(4, "rank of every module")
    alpha: float = explained(16.0, "the update is scaled by alpha / `rank`")
    dropout: float = explained(0.1, "dropout on the adapter's input", below=1.0)

    def attach(self, model: PreTrainedModel, steps: int, loss: Loss) -> PeftModel:
        """Put B = 0 and a random A on every linear layer but the output head."""
        from peft import LoraConfig, get_peft_model

        if self.rank < 1:
            raise BadInput(f"rank is {self.rank}: LoRA needs a rank of at least 1.")
        config = LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha,  # type: ignore[arg-type]  # PEFT computes with any number
            lora_dropout=self.dropout,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        )
        return get_peft_model(model, config)
