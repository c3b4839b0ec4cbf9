"""A trainer: plain LoRA."""

from dataclasses import dataclass

from mdkif import Trainer, TuningMethod, hookimpl


@hookimpl
def mdkif_trainers():
    """The trainer."""
    return [Trainer(name="case", title="LoRA", target=f"{__name__}:Own")]


@dataclass(kw_only=True)
class Own(TuningMethod):
    """Its field is a setting."""

    rank: int = 2

    def attach(self, model, steps, loss):
        """An adapter on every linear layer."""
        from peft import LoraConfig, get_peft_model

        return get_peft_model(model, LoraConfig(r=self.rank, target_modules="all-linear", task_type="CAUSAL_LM"))

    def stepped(self, model, step):
        """Nothing more."""
