"""PEFT's and LoraHub's ways to a candidate beside ours: several active adapters, concatenation, adding factors."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
from mdkif import Base, SkillBank
from peft import LoraConfig, get_peft_model, set_peft_model_state_dict

from .candidates import blended
from .material import Bench, Skills, losses, random_shots, random_skills, random_weights
from .timing import Row, agree, alternately, at_least, row, timed

State = dict[str, torch.Tensor]
BLEND = "blended"


def active(bench: Bench) -> Row:
    """PEFT with every adapter active, its weight in `scaling`, beside one candidate on the same shots."""
    base, shots, weights = bench.base, random_shots(bench.base), random_weights(bench.skills)
    skills = random_skills(base, bench.skills, bench.rank)
    bank, model = SkillBank(base.model, skills), with_adapters(base, skills)
    for name, weight in zip(skills, weights.tolist(), strict=True):
        for layer in lora_layers(model).values():
            layer.scaling[name] *= weight
    model.base_model.set_adapter(list(skills))
    model.requires_grad_(False)
    agree("PEFT's active adapters", blended(base, bank, weights, shots), losses(model, shots), bench.tolerance)
    costs = alternately(
        timed(lambda: blended(base, bank, weights, shots)), timed(lambda: losses(model, shots)), bench.repeats
    )
    return row(f"PEFT with {bench.skills} active adapters / one candidate", costs, at_least(3.0))


def rebuilt(bench: Bench) -> Row:
    """PEFT's exact way to new weights, the concatenated adapter, beside entering a blend; both end the one before."""
    base, shots, weights = bench.base, random_shots(bench.base, 4), random_weights(bench.skills)
    skills = random_skills(base, bench.skills, bench.rank)
    bank, model = SkillBank(base.model, skills), with_adapters(base, skills)

    def theirs() -> None:
        if BLEND in model.peft_config:
            model.delete_adapter(BLEND)
        model.add_weighted_adapter(list(skills), weights.tolist(), BLEND, combination_type="cat")

    theirs()
    model.set_adapter(BLEND)
    agree("PEFT's concatenated adapter", blended(base, bank, weights, shots), losses(model, shots), bench.tolerance)
    model.set_adapter(next(iter(skills)))
    costs = alternately(timed(lambda: enter(bank, weights)), timed(theirs), bench.repeats)
    return row(f"PEFT's add_weighted_adapter (cat) of {bench.skills} / entering a blend", costs, at_least(10.0))


def factors(bench: Bench) -> Row:
    """LoraHub's way to new weights: every factor summed by itself, which is another update; its error is noted."""
    base, weights = bench.base, random_weights(bench.skills)
    skills = random_skills(base, bench.skills, bench.rank)
    bank = SkillBank(base.model, skills)
    model = get_peft_model(deepcopy(base.model), lora(bench.rank))
    states = [state(updates) for updates in skills.values()]

    def theirs() -> None:
        set_peft_model_state_dict(model, added(states, weights.tolist()))

    theirs()
    error = relative_error(model, bank, weights)
    costs = alternately(timed(lambda: enter(bank, weights)), timed(theirs), bench.repeats)
    name = f"LoraHub's adding of {bench.skills} state dicts, not exact / entering a blend"
    return row(name, costs, None) | {"note": f"its update is off by {error:.2f} of the norm of the exact one"}


def enter(bank: SkillBank, weights: torch.Tensor) -> None:
    """What changing to other weights costs in a bank."""
    with bank.blend(weights):
        pass


def lora(rank: int) -> LoraConfig:
    """A LoRA of scale 1 on every linear layer but the output head."""
    return LoraConfig(r=rank, lora_alpha=rank, target_modules="all-linear", task_type="CAUSAL_LM")


def with_adapters(base: Base, skills: Skills) -> Any:
    """PEFT's model on a copy of the base, holding every skill as an adapter of scale 1."""
    config = lora(next(iter(next(iter(skills.values())).values())).rank)
    names = list(skills)
    model: Any = get_peft_model(deepcopy(base.model), config, adapter_name=names[0])
    for name in names[1:]:
        model.add_adapter(name, config)
    layers = lora_layers(model)
    with torch.no_grad():
        for name, updates in skills.items():
            for path, update in updates.items():
                layers[path].lora_A[name].weight.copy_(update.down)
                layers[path].lora_B[name].weight.copy_(update.up)
    return model.eval()


def lora_layers(model: Any) -> dict[str, Any]:
    """PEFT's layers by the paths of the base's."""
    return {path: m for path, m in model.base_model.model.named_modules() if hasattr(m, "lora_A")}


def state(updates: Any) -> State:
    """A skill as the state dict that PEFT loads."""
    found: State = {}
    for path, update in updates.items():
        found[f"base_model.model.{path}.lora_A.weight"] = update.down
        found[f"base_model.model.{path}.lora_B.weight"] = update.up
    return found


def added(states: Sequence[State], weights: Sequence[float]) -> State:
    """The weighted sum of each tensor by itself, adapter after adapter."""
    total: State = {}
    for weight, each in zip(weights, states, strict=True):
        for key, value in each.items():
            total[key] = total[key] + weight * value if key in total else weight * value
    return total


@torch.no_grad()
def relative_error(model: Any, bank: SkillBank, weights: torch.Tensor) -> float:
    """How far a model's single adapter is from the exact blend, in Frobenius norms over all layers."""
    off = exact = 0.0
    for path, layer in lora_layers(model).items():
        wanted = bank.delta(path, weights)
        found = layer.lora_B["default"].weight.float() @ layer.lora_A["default"].weight.float()
        off += float((found - wanted).square().sum())
        exact += float(wanted.square().sum())
    return float((off / exact) ** 0.5)
