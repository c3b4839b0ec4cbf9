"""What one candidate of the router costs beside the base model that everyone must run."""

from __future__ import annotations

from typing import Any

import torch
from mdkif import Base, Batch, SkillBank, answer_loss

from .material import SHOTS, Bench, forward_and_backward, losses, random_rows, random_shots, random_weights
from .timing import Row, agree, alternately, at_most, row, timed

MANY, FEW = 48, 4


def candidate(bench: Bench) -> Row:
    """A blend of all skills on 32 shots beside the base on the same tokens; checked against merged weights."""
    base, bank, shots = bench.base, bench.bank(), random_shots(bench.base)
    weights = random_weights(bench.skills)
    with bank.merged(weights):
        merged = losses(base.model, shots)
    agree("the blend merged into the weights", blended(base, bank, weights, shots), merged, bench.tolerance)
    costs = alternately(
        timed(lambda: blended(base, bank, weights, shots)), timed(lambda: losses(base.model, shots)), bench.repeats
    )
    return row(f"one candidate of {bench.skills} skills on {SHOTS} shots / the base alone", costs, at_most(1.05))


def many_skills(bench: Bench) -> Row:
    """A candidate of 48 skills beside one of 4; checked by giving the others no weight."""
    base, many, few, shots = bench.base, bench.bank(MANY), bench.bank(FEW), random_shots(bench.base)
    weights = random_weights(FEW)
    padded = torch.cat([weights, torch.zeros(MANY - FEW)])
    same = blended(base, few, weights, shots)
    agree("the same skills without the others", blended(base, many, padded, shots), same, bench.tolerance)
    all_used = random_weights(MANY)
    costs = alternately(
        timed(lambda: blended(base, many, all_used, shots)),
        timed(lambda: blended(base, few, weights, shots)),
        bench.repeats,
    )
    return row(f"a candidate of {MANY} skills / of {FEW}", costs, at_most(1.15))


def gradient(bench: Bench) -> Row:
    """A router's gradient step beside the base's forward and backward through its activations.

    Checked against the gradients of the dense weights, each skill's update being one direction of them.
    """
    base, bank, shots = bench.base, bench.bank(), random_shots(bench.base, SHOTS // 2)
    plain = forward_and_backward(base, random_rows(base, SHOTS // 2))
    weights = random_weights(bench.skills)

    def step() -> torch.Tensor:
        leaf = weights.clone().requires_grad_(True)
        with bank.blend(leaf):
            answer_loss(base.model, shots).backward()
        assert leaf.grad is not None
        return leaf.grad

    agree("the gradient by dense weights", step(), dense_gradient(base, bank, weights, shots), 10 * bench.tolerance)
    plain()
    costs = alternately(timed(step), timed(plain), bench.repeats)
    return row("one gradient step of the router / forward and backward of the base", costs, at_most(1.15))


def blended(base: Base, bank: SkillBank, weights: torch.Tensor, batch: Batch) -> torch.Tensor:
    """A candidate's loss on each record."""
    with bank.blend(weights):
        return losses(base.model, batch)


def dense_gradient(base: Base, bank: SkillBank, weights: torch.Tensor, batch: Batch) -> torch.Tensor:
    """The loss's gradient by the skills' weights, from its gradient by the base model's own weights."""
    layers: dict[str, Any] = {path: base.model.get_submodule(path) for path in bank.paths}
    each = torch.eye(len(bank.names))
    try:
        with bank.merged(weights):
            for layer in layers.values():
                layer.weight.requires_grad_(True)
            answer_loss(base.model, batch).backward()
        parts = [[(layer.weight.grad * bank.delta(p, one)).sum() for p, layer in layers.items()] for one in each]
        return torch.tensor(parts).sum(1)
    finally:
        for layer in layers.values():
            layer.weight.requires_grad_(False)
            layer.weight.grad = None
