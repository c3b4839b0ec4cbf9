"""What mdkif exists for, timed beside its peers: alternately, in one process, on work checked to be the same."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import torch

from .adapters import LowRank
from .bank import SkillBank
from .encoding import Encoded
from .errors import MdkifError
from .models import Base
from .records import Record
from .scoring import option_scores

Work = Callable[[], torch.Tensor]
CONTEXT, LABELS, LABEL_TOKENS = 256, 50, 4


def benchmark(base: Base, skills: int = 12, rank: int = 4, repeats: int = 7) -> Iterator[dict[str, Any]]:
    """One row at a time, with `name, ours, peer, ratio, spread, unit, goal, met`.

    `ours` and `peer` are median seconds, `ratio` is peer / ours (at least `goal` is wanted), except
    for the overhead over the base, which is ours / peer (at most). `spread` is the interquartile
    range of the paired ratios. Raises MdkifError if ours and the peer compute different things.
    """
    generator = torch.Generator().manual_seed(0)
    adapters = {f"s{i}": _random_adapter(base, rank, generator) for i in range(skills)}
    bank = SkillBank(base.model, adapters)
    weights = torch.rand(skills, generator=generator) / skills
    ids = torch.randint(5, int(base.model.config.vocab_size), (8, 64), generator=generator).to(base.model.device)

    def plain() -> torch.Tensor:
        return _forward(base.model, ids)

    def blended() -> torch.Tensor:
        with bank.blend(weights):
            return plain()

    peft = _peft_copy(base, adapters, weights)

    def active() -> torch.Tensor:
        return _forward(peft, ids)

    yield _row(f"overhead of a blend of {skills} skills over the base", blended, plain, repeats, at_most=1.08)
    _agree("PEFT's active adapters", blended(), active())
    yield _row(f"PEFT's {skills} active adapters", blended, active, repeats, at_least=2.5)
    yield _labels(base, repeats, generator)


@torch.no_grad()
def _forward(model: Any, ids: torch.Tensor) -> torch.Tensor:
    logits: torch.Tensor = model(input_ids=ids, logits_to_keep=8, use_cache=False).logits
    return logits.float()


def _labels(base: Base, repeats: int, generator: torch.Generator) -> dict[str, Any]:
    size = CONTEXT + LABELS * LABEL_TOKENS
    ids = torch.randint(5, int(base.model.config.vocab_size), (size,), generator=generator).tolist()
    labels = tuple(tuple(ids[at : at + LABEL_TOKENS]) for at in range(CONTEXT, size, LABEL_TOKENS))
    record = Record(id="benchmark", query="", answer="")
    whole = Encoded(record, tuple(ids[:CONTEXT]), (), labels)
    apart = [Encoded(record, whole.prompt, (), (label,)) for label in labels]

    def together() -> torch.Tensor:
        return torch.tensor(option_scores(base, [whole]))[0]

    def one_by_one() -> torch.Tensor:
        return torch.tensor(option_scores(base, apart))[:, 0]

    _agree("one pass per label", together(), one_by_one())
    return _row(f"one pass for each of {LABELS} labels", together, one_by_one, repeats, at_least=8.0)


def _peft_copy(base: Base, adapters: dict[str, dict[str, LowRank]], weights: torch.Tensor) -> Any:
    """PEFT with every adapter active and its weight in `scaling`, on a copy of the base."""
    from peft import LoraConfig, get_peft_model

    rank = next(iter(next(iter(adapters.values())).values())).rank
    config = LoraConfig(r=rank, lora_alpha=rank, target_modules="all-linear", task_type="CAUSAL_LM")
    model: Any = get_peft_model(deepcopy(base.model), config, adapter_name=next(iter(adapters)))
    for name in list(adapters)[1:]:
        model.add_adapter(name, config)
    layers = dict(model.base_model.model.named_modules())
    for (name, updates), weight in zip(adapters.items(), weights.tolist(), strict=True):
        for path, update in updates.items():
            layers[path].lora_A[name].weight.data.copy_(update.down)
            layers[path].lora_B[name].weight.data.copy_(update.up)
            layers[path].scaling[name] *= weight
    model.base_model.set_adapter(list(adapters))
    return model.eval().requires_grad_(False)


def _random_adapter(base: Base, rank: int, generator: torch.Generator) -> dict[str, LowRank]:
    head = base.model.get_output_embeddings()
    return {
        path: LowRank(
            torch.randn(rank, module.in_features, generator=generator) / module.in_features**0.5,
            torch.randn(module.out_features, rank, generator=generator) / module.out_features**0.5,
        )
        for path, module in base.model.named_modules()
        if isinstance(module, torch.nn.Linear) and module is not head
    }


def _agree(peer: str, ours: torch.Tensor, theirs: torch.Tensor) -> None:
    difference = float((ours - theirs).abs().max() / theirs.abs().max())
    tolerance = 1e-4 if ours.dtype == torch.float32 else 2e-2
    if difference > tolerance:
        raise MdkifError(f"The benchmark disagrees with {peer} by {difference:.1e} of the largest value.")


def _row(
    name: str, ours: Work, peer: Work, repeats: int, at_least: float | None = None, at_most: float | None = None
) -> dict[str, Any]:
    times = [(_seconds(ours), _seconds(peer)) for _ in range(repeats + 1)][1:]
    ratios = sorted(o / p if at_most else p / o for o, p in times)
    ratio, goal = statistics.median(ratios), at_most or at_least or 1.0
    quarter = len(ratios) // 4
    return {
        "name": name,
        "ours": statistics.median(o for o, _ in times),
        "peer": statistics.median(p for _, p in times),
        "ratio": ratio,
        "spread": [ratios[quarter], ratios[-1 - quarter]],
        "unit": "s",
        "goal": goal,
        "met": ratio <= goal if at_most else ratio >= goal,
    }


def _seconds(work: Work) -> float:
    started = time.perf_counter()
    work()
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()
    return time.perf_counter() - started
