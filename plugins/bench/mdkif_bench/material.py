"""What is measured on: random skills, weights and records, the same for every run on one base."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mdkif import Base, Batch, Encoded, LowRank, Record, SkillBank, Toolkit, answer_loss, collate

SHOTS, LENGTH, ANSWER = 32, 64, 4  # together 2,048 tokens, as many as stage II puts into one pass
Skills = dict[str, dict[str, LowRank]]


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A base model to measure on, how many skills of which rank, and how often each pair is measured."""

    kit: Toolkit
    skills: int = 12
    rank: int = 4
    repeats: int = 5

    @property
    def base(self) -> Base:
        """The base model, loaded when first needed."""
        return self.kit.workspace.base

    @property
    def dtype(self) -> str:
        """The base's numbers."""
        return str(self.base.model.dtype).removeprefix("torch.")

    @property
    def half(self) -> bool:
        """Whether the base's numbers have 16 bits."""
        return self.base.model.dtype in (torch.bfloat16, torch.float16)

    @property
    def tolerance(self) -> float:
        """By how much of the largest value two ways of computing the same may differ."""
        return 2e-2 if self.half else 1e-4

    def bank(self, skills: int | None = None, seed: int = 0, size: float = 1.0) -> SkillBank:
        """A bank of random skills."""
        return SkillBank(self.base.model, random_skills(self.base, skills or self.skills, self.rank, seed, size))


def random_skills(base: Base, count: int, rank: int, seed: int = 0, size: float = 1.0) -> Skills:
    """Updates of every linear layer but the output head; `size` scales them, 1 for a spectral norm of about 1.

    No skill's name is part of another's, which PEFT would confuse.
    """
    draw = torch.Generator().manual_seed(seed)
    head = base.model.get_output_embeddings()
    layers = {n: m for n, m in base.model.named_modules() if isinstance(m, torch.nn.Linear) and m is not head}
    return {
        f"skill{i:03}": {
            path: LowRank(
                torch.randn(rank, layer.in_features, generator=draw) * size / layer.in_features**0.5,
                torch.randn(layer.out_features, rank, generator=draw) / layer.out_features**0.5,
            )
            for path, layer in layers.items()
        }
        for i in range(count)
    }


def random_weights(count: int, seed: int = 0) -> torch.Tensor:
    """Weights as a router finds them: positive, a few of them large, and summing to 1."""
    return torch.softmax(2 * torch.randn(count, generator=torch.Generator().manual_seed(seed)), 0)


def random_ids(base: Base, *shape: int, seed: int = 0) -> torch.Tensor:
    """Token ids from the vocabulary's ordinary part."""
    return torch.randint(20, base.model.config.vocab_size, shape, generator=torch.Generator().manual_seed(seed))


def random_shots(base: Base, count: int = SHOTS, length: int = LENGTH) -> Batch:
    """One batch of records without padding, the last tokens of each its answer."""
    return collate(random_rows(base, count, length), base.pad, base.model.device)


def random_rows(base: Base, count: int, length: int = LENGTH) -> list[Encoded]:
    """Records of that many tokens, the last of each its answer."""
    return [encoded(base, row) for row in random_ids(base, count, length).tolist()]


def encoded(base: Base, ids: list[int]) -> Encoded:
    """A record of these tokens, the last four its answer."""
    return Encoded(Record(id="bench", query="", answer=""), tuple(ids[:-ANSWER]), tuple(ids[-ANSWER:]))


@torch.no_grad()
def losses(model: object, batch: Batch) -> torch.Tensor:
    """The answers' cross-entropy, record by record, as stage II evaluates a candidate."""
    return answer_loss(model, batch, "rows")


def forward_and_backward(base: Base, rows: Sequence[Encoded]) -> Callable[[], None]:
    """One batch's loss by the base alone, and its gradient by the activations: what any training must compute."""
    model: Any = base.model
    batch = collate(rows, base.pad, base.model.device)

    def plain() -> None:
        model.enable_input_require_grads()
        try:
            answer_loss(model, batch).backward()
        finally:
            model.disable_input_require_grads()

    return plain


@torch.no_grad()
def last_logits(model: Any, ids: torch.Tensor, **inputs: Any) -> torch.Tensor:
    """The logits after each row of the ids, (rows, vocabulary).

    The last states are flat before the output layer gets them: `logits_to_keep` copies its matrix for every row.
    """
    states = model.get_decoder()(input_ids=ids, **inputs, use_cache=False).last_hidden_state
    found: torch.Tensor = model.get_output_embeddings()(states[:, -1].contiguous())
    return found
