"""The rows of the benchmark: each runs ours and the peer on the same work and checks that they agree."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from mdkif import Base, Encoded, LowRank, Record, SkillBank, option_scores

Work = Callable[[], Any]


def rows(base: Base, skills: int, rank: int, repeats: int) -> Iterator[dict[str, Any]]:
    """Every row's figures for `skills` random adapters of one rank on the base model."""
    generator = torch.Generator().manual_seed(0)
    adapters = {f"s{i}": random_adapter(base, rank, generator) for i in range(skills)}
    bank = SkillBank(base.model, adapters)
    weights = torch.rand(skills, generator=generator) / skills
    ids = torch.randint(5, base.model.config.vocab_size, (8, 64), generator=generator).to(base.model.device)

    def plain() -> torch.Tensor:
        return forward(base, ids)

    def blended() -> torch.Tensor:
        with bank.blend(weights):
            return forward(base, ids)

    yield measured("one candidate / plain base forward", blended, plain, repeats, at_most=1.08)
    with several_active(base, adapters, weights) as peft:
        agree("PEFT's active adapters", blended(), peft())
        yield measured("PEFT's active adapters / one candidate", blended, peft, repeats, at_least=2.5, bank=bank)
    yield label_scoring(base, repeats, generator)


def label_scoring(base: Base, repeats: int, generator: torch.Generator) -> dict[str, Any]:
    """50 labels of 4 tokens after a context of 256: one pass for all of them, and one pass for each."""
    draw = torch.randint(5, base.model.config.vocab_size, (256 + 200,), generator=generator).tolist()
    labels = tuple(tuple(draw[256 + 4 * i : 260 + 4 * i]) for i in range(50))
    row = Encoded(Record(id="bench", query="", answer=""), tuple(draw[:256]), (), labels)
    apart = [Encoded(row.record, row.prompt, (), (label,)) for label in labels]

    def together() -> torch.Tensor:
        return torch.tensor(option_scores(base, [row]))[0]

    def one_by_one() -> torch.Tensor:
        return torch.tensor(option_scores(base, apart))[:, 0]

    agree("one pass per label", together(), one_by_one())
    return measured("one pass per label / one pass for all", together, one_by_one, repeats, at_least=8.0)
