"""Baselines that tune on the task's own examples, with no skill: what a blend has to stand beside."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mdkif import (
    Baseline,
    BaselineMethod,
    Given,
    Positive,
    PositiveFloat,
    Prediction,
    TuneSettings,
    explained,
    hookimpl,
)

if TYPE_CHECKING:
    from mdkif import Encoded, ShotsLoss, Tunable

TITLES = {
    "lora": "LoRA tuned on the examples",
    "prompt-tuning": "Prompt tuning (Lester et al., 2021) on the examples",
    "prefix-tuning": "Prefix tuning (Li and Liang, 2021) on the examples",
    "p-tuning": "P-tuning (Liu et al., 2021) on the examples",
    "ia3": "IA3 (Liu et al., 2022) on the examples",
    "full": "All weights tuned on the examples",
}


@hookimpl
def mdkif_baselines() -> list[Baseline]:
    """Six baselines."""
    names = {"lora": "LoRA", "ia3": "IA3", "p-tuning": "PTuning"}
    return [
        Baseline(
            name=name,
            title=title,
            target=f"{__name__}:{names.get(name) or ''.join(part.capitalize() for part in name.split('-'))}",
            uses="model",
        )
        for name, title in TITLES.items()
    ]


@dataclass(kw_only=True)
class Tuned(BaselineMethod):
    """Tuning by AdamW at a constant rate, as `mdkif adapt --tune` does it, and without dropout.

    Unless `steps` is given, 0 and every `every`th up to `most` are tried on examples held out in turn, and the best is
    made on all. With `objective` "auto" the folds also say which loss to minimise, where examples list options: that of
    the options or that of the answers' tokens; by what they say of the options. The report counts steps, trainable
    parameters and the examples learnt from.
    """

    objective: Literal["auto", "choice", "cross-entropy"] = explained("auto", "what to minimise; auto: by the folds")
    steps: int | None = explained(None, "optimizer steps; by default chosen by the folds")
    most: Positive = explained(16, "most steps that are tried")
    every: Positive = explained(4, "steps between those that are tried")
    folds: Positive = explained(4, "parts that are held out in turn")
    learning_rate: PositiveFloat = explained(1e-3, "its rate")
    batch_size: Positive = explained(16, "examples in a step")
    examples: Positive = explained(128, "most examples that are learnt from")
    tokens: Positive = explained(2048, "padded tokens of one forward pass; half as many of one backward")

    @abstractmethod
    def tunable(self) -> Tunable:
        """What is tuned."""

    def answers(self, given: Given) -> list[Prediction]:
        """The tuned model's answers. Raises BadInput where steps are to be chosen and no two groups of examples are."""
        from mdkif import fitted

        encoder = given.encoder
        examples = encoder.encode_all(given.examples[: self.examples], "examples to learn from")
        loss, settings = self._chosen(given, examples)
        with fitted(encoder.base, self.tunable(), loss, settings, given.seed, given.progress) as (tuned, found):
            given.counts |= {
                "tuned on": len(examples),
                "tuned by choice": float(loss.name == "choice"),
                "steps": found.steps,
                "trainable parameters": found.trainable,
            }
            return given.predict(tuned, "evaluating what was tuned")

    def _chosen(self, given: Given, examples: Sequence[Encoded]) -> tuple[ShotsLoss, TuneSettings]:
        """The loss to minimise, and for how many steps."""
        from mdkif import held_out, shots_loss

        settings = TuneSettings(
            steps=self.steps,
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            folds=self.folds,
            most=self.most,
            every=self.every,
        )
        judge = shots_loss(given.task, given.encoder, examples, self.objective, self.tokens)
        if self.objective != "auto" or self.steps is not None or judge.name != "choice":
            return judge, settings
        base, tunable = given.encoder.base, self.tunable()
        losses = [judge, shots_loss(given.task, given.encoder, examples, "cross-entropy", self.tokens)]
        tried = [held_out(base, tunable, each, settings, given.seed, given.progress, judge) for each in losses]
        _, settings.steps, best = min(
            (value, steps, which) for which, found in enumerate(tried) for steps, value in found.items()
        )
        return losses[best], settings


@dataclass(kw_only=True)
class LoRA(Tuned):
    """LoRA (Hu et al., 2021) of every linear layer but the output head: what `--router base --tune auto` does."""

    rank: Positive = explained(4, "its rank")
    alpha: PositiveFloat = explained(16.0, "the update is scaled by alpha / `rank`")

    def tunable(self) -> Tunable:
        """mdkif's own."""
        from mdkif import Residual

        return Residual(self.rank, self.alpha)


@dataclass(kw_only=True)
class PromptTuning(Tuned):
    """Embeddings of virtual tokens before every prompt."""

    virtual_tokens: Positive = explained(16, "how many")
    learning_rate: PositiveFloat = explained(0.03, "its rate")
    most: Positive = explained(32, "most steps that are tried")
    every: Positive = explained(8, "steps between those that are tried")

    def tunable(self) -> Tunable:
        """PEFT's."""
        from mdkif import PeftTunable
        from peft import PromptTuningConfig

        return PeftTunable(PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=self.virtual_tokens))


@dataclass(kw_only=True)
class PrefixTuning(PromptTuning):
    """Keys and values of virtual tokens in every layer, before those of every prompt."""

    learning_rate: PositiveFloat = explained(1e-2, "its rate")

    def tunable(self) -> Tunable:
        """PEFT's."""
        from mdkif import PeftTunable
        from peft import PrefixTuningConfig

        return PeftTunable(PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=self.virtual_tokens))


@dataclass(kw_only=True)
class PTuning(PromptTuning):
    """Virtual tokens before every prompt, whose embeddings a small network makes."""

    learning_rate: PositiveFloat = explained(1e-3, "its rate")
    hidden: Positive = explained(128, "width of that network")

    def tunable(self) -> Tunable:
        """PEFT's."""
        from mdkif import PeftTunable
        from peft import PromptEncoderConfig

        config = PromptEncoderConfig(
            task_type="CAUSAL_LM", num_virtual_tokens=self.virtual_tokens, encoder_hidden_size=self.hidden
        )
        return PeftTunable(config)


@dataclass(kw_only=True)
class IA3(Tuned):
    """Factors of keys, values and what goes into the last linear layer of each block."""

    learning_rate: PositiveFloat = explained(1e-2, "its rate")
    most: Positive = explained(32, "most steps that are tried")
    every: Positive = explained(8, "steps between those that are tried")

    def tunable(self) -> Tunable:
        """PEFT's, of the modules that it knows for the kind of model."""
        from mdkif import PeftTunable
        from peft import IA3Config

        return PeftTunable(IA3Config(task_type="CAUSAL_LM"))


@dataclass(kw_only=True)
class Full(Tuned):
    """All weights, in float32: a copy of the model is tuned, so that there must be memory for four of its size."""

    learning_rate: PositiveFloat = explained(2e-5, "its rate")

    def tunable(self) -> Tunable:
        """A copy of the base."""
        from .weights import AllWeights

        return AllWeights()
