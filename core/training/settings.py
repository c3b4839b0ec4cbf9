"""Settings of stage I, the same for every trainer."""

from __future__ import annotations

from dataclasses import dataclass

from ..settings import Positive, Settings, explained


@dataclass(kw_only=True)
class TrainSettings(Settings):
    """Settings of the loop, the same for every trainer.

    `steps` counts optimizer steps; 0 means `epochs` passes over the records. A step's examples go
    through the model in parts of at most `tokens` tokens, which bounds memory. The learning rate
    rises linearly over the first `warmup` share of the steps and falls as a cosine to a tenth.
    `split_policy` says which records may be learnt from. With `gradient_checkpointing` a layer's activations
    are computed again for the backward pass instead of being kept.
    """

    steps: int = explained(0, "optimizer steps; 0 means `epochs` passes over the records", below=1e9)
    epochs: float = explained(3.0, "passes over the records, where `steps` is 0", below=1e6)
    batch_size: Positive = explained(16, "records per step")
    tokens: Positive = explained(2048, "most tokens of one forward and backward; larger steps are accumulated")
    warmup: float = explained(0.06, "share of the steps in which the learning rate rises; it then falls to a tenth")
    max_grad_norm: float = explained(1.0, "the gradient is clipped to this norm")
    max_length: int = explained(512, "tokens of prompt and answer; longer contexts are cut, an answer never")
    records: int = explained(0, "training records drawn; 0 means `steps` × `batch_size` or, where `steps` is 0, all")
    dev_records: int = explained(64, "development records drawn for the loss before and after; 0 means all")
    checkpoint_every: Positive = explained(20, "steps between checkpoints")
    gradient_checkpointing: bool = explained(False, "activations are computed again for the backward pass, not kept")
    split_policy: str = explained("official", "who learns from what: official, 8:2, paper or paper:SEED")
    seed: int = explained(0, "draws, order, initialisation and dropout")
