"""Settings of stage I, the same for every trainer."""

from __future__ import annotations

from dataclasses import dataclass

from ..settings import Positive, Settings


@dataclass(kw_only=True)
class TrainSettings(Settings):
    """Settings of the loop, the same for every trainer.

    `steps` counts optimizer steps; 0 means `epochs` passes over the records. A step's examples go
    through the model in parts of at most `tokens` tokens, which bounds memory. The learning rate
    rises linearly over the first `warmup` share of the steps and falls as a cosine to a tenth.
    `split_policy` says which records may be learnt from.
    """

    steps: int = 0
    epochs: float = 3.0
    batch_size: Positive = 16
    tokens: Positive = 2048
    warmup: float = 0.06
    max_grad_norm: float = 1.0
    max_length: int = 512
    records: int = 0
    dev_records: int = 64
    checkpoint_every: Positive = 20
    split_policy: str = "official"
    seed: int = 0
