"""Blends in half precision: what is rounded, by how much, and that the bank says so; all against float64."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mdkif.core.adapters import blending
from mdkif.core.adapters.bank import SkillBank
from mdkif.core.adapters.low_rank import LowRank
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

HALF = (torch.bfloat16, torch.float16)
WEIGHTS = torch.tensor([0.6, -0.3, 0.2])


def layer_and_skills(dtype, size=0.01, inputs=64, outputs=48, ranks=(3, 0, 5), seed=0):
    """A layer, and skills whose sum has about `size` times its norm."""
    draw = torch.Generator().manual_seed(seed)
    linear = nn.Sequential(nn.Linear(inputs, outputs)).to(dtype).requires_grad_(False)
    linear[0].weight.copy_(torch.randn(outputs, inputs, generator=draw) / inputs**0.5)
    skills = {
        f"s{i}": {
            "0": LowRank(
                torch.randn(rank, inputs, generator=draw) / inputs**0.5,
                torch.randn(outputs, rank, generator=draw) * size,
            )
        }
        for i, rank in enumerate(ranks)
    }
    return linear, skills


def exact(skills, weights):
    """The update in float64, from the skills themselves."""
    return sum(
        float(w) * updates["0"].up.double() @ updates["0"].down.double()
        for w, updates in zip(weights, skills.values(), strict=True)
    )


def relative(found, wanted):
    return float((found.double() - wanted.double()).norm() / wanted.double().norm())


def forced(monkeypatch, merges):
    monkeypatch.setattr(blending, "merging_pays", lambda *_: merges)


@pytest.mark.parametrize("dtype", HALF)
def test_bank_keeps_its_updates_in_float32_whatever_the_dtype_of_the_base(dtype):
    linear, skills = layer_and_skills(dtype)
    bank = SkillBank(linear, skills)
    single, _ = layer_and_skills(torch.float32)
    other = SkillBank(single, skills)
    assert torch.equal(bank.delta("0", WEIGHTS), other.delta("0", WEIGHTS))
    assert torch.equal(bank.norms(), other.norms())
    found, wanted = bank.fused(WEIGHTS)["0"], other.fused(WEIGHTS)["0"]
    assert torch.equal(found.down, wanted.down)
    assert torch.equal(found.up, wanted.up)
    assert relative(found.up @ found.down, exact(skills, WEIGHTS)) < 1e-6


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(HALF), st.sampled_from([1.0, 0.03, 0.003, 0.001]), st.booleans(), st.integers(0, 50))
def test_blend_in_half_precision_is_within_the_rounding_of_its_factors(dtype, size, merges, seed):
    linear, skills = layer_and_skills(dtype, size, seed=seed)
    bank = SkillBank(linear, skills)
    x = torch.randn(2, 7, 64, generator=torch.Generator().manual_seed(seed)).to(dtype)
    with pytest.MonkeyPatch.context() as monkeypatch, torch.no_grad(), bank.blend(WEIGHTS):
        forced(monkeypatch, merges)
        found = linear(x).double()
    wide = x.double()
    plain = nn.functional.linear(wide, linear[0].weight.double(), linear[0].bias.double())
    wanted = plain + wide @ exact(skills, WEIGHTS).T
    sizes = sum(
        abs(float(w)) * wide.abs() @ (u["0"].up.double().abs() @ u["0"].down.double().abs()).T
        for w, u in zip(WEIGHTS, skills.values(), strict=True)
    )
    unit = torch.finfo(dtype).eps / 2
    rounded = 0 if merges else 4.1 * unit * sizes + torch.finfo(dtype).tiny  # down, up, and what is between, twice
    outputs = (1.01 if merges else 2.1) * unit * (plain.abs() + sizes)
    assert ((found - wanted).abs() <= rounded + outputs + 1e-6).all()


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("merges", [True, False])
def test_blend_in_half_precision_has_the_gradients_of_float64(dtype, merges, monkeypatch):
    forced(monkeypatch, merges)
    linear, skills = layer_and_skills(dtype, 0.3)
    bank = SkillBank(linear, skills)
    x = torch.randn(3, 50, 64, generator=torch.Generator().manual_seed(1)).to(dtype).requires_grad_(True)
    slope = torch.randn(3, 50, 48, generator=torch.Generator().manual_seed(2)).to(dtype)
    leaf = WEIGHTS.clone().requires_grad_(True)
    with bank.blend(leaf):
        linear(x).backward(slope)
    update = exact(skills, WEIGHTS)
    wide = slope.double().flatten(0, 1)
    parts = [exact(skills, one) if one[1] == 0 else torch.zeros_like(update) for one in torch.eye(3)]
    rows = torch.stack([(wide * (x.detach().double().flatten(0, 1) @ part.T)).sum() for part in parts])
    assert leaf.grad.dtype == torch.float32
    assert x.grad.dtype == dtype
    assert relative(leaf.grad, rows) < 4 * torch.finfo(dtype).eps
    assert relative(x.grad.flatten(0, 1), wide @ (linear[0].weight.double() + update)) < torch.finfo(dtype).eps


@pytest.mark.parametrize("dtype", HALF)
def test_blend_of_rows_in_half_precision_is_that_of_each_blend_bit_for_bit(dtype, monkeypatch):
    forced(monkeypatch, False)
    linear, skills = layer_and_skills(dtype)
    bank = SkillBank(linear, skills)
    x, weights = torch.randn(3, 20, 64).to(dtype), torch.tensor([[0.2, 0.5, 0.3], [1.0, -1.0, 2.0], [0.1, 0.1, 0.1]])
    with torch.no_grad(), bank.blend(weights):
        together = linear(x)
    for own, row, found in zip(weights, x, together, strict=True):
        with torch.no_grad(), bank.blend(own):
            torch.testing.assert_close(linear(row[None])[0], found, rtol=torch.finfo(dtype).eps, atol=1e-3)


@pytest.mark.parametrize(("share", "expected"), [(0.03, 0.055), (0.003, 0.48), (0.001, 0.8)])
def test_merging_in_bfloat16_loses_of_an_update_what_the_bank_says_and_a_blend_does_not(share, expected):
    linear, skills = layer_and_skills(torch.bfloat16, inputs=256, outputs=256, ranks=(4, 2, 6))
    weight = linear[0].weight.double()
    factor = share * float(weight.norm() / exact(skills, WEIGHTS).norm())
    bank, weights = SkillBank(linear, skills), WEIGHTS * factor
    update = exact(skills, weights.double())
    cast = (linear[0].weight.float() + update.float()).to(torch.bfloat16).double() - weight
    assert bank.merging_error(weights) == pytest.approx(relative(cast, update), rel=1e-3)
    assert bank.merging_error(weights) == pytest.approx(expected, rel=0.3)
    assert bank.blending_error(weights) < 0.004
    assert bank.blending_error(weights) == pytest.approx(bank.blending_error(WEIGHTS), rel=1e-5)


@pytest.mark.parametrize("dtype", [*HALF, torch.float32, torch.float64])
def test_blending_error_is_that_of_the_rounded_factors(dtype):
    linear, skills = layer_and_skills(dtype)
    found = SkillBank(linear, skills).blending_error(WEIGHTS)
    cast = exact(
        {n: {"0": LowRank(u["0"].down.to(dtype), u["0"].up.to(dtype))} for n, u in skills.items()}, WEIGHTS.double()
    )
    wanted = relative(cast, exact(skills, WEIGHTS.double()))
    assert found == pytest.approx(wanted, rel=1e-4, abs=1e-7)
    assert (found > 1e-5) == (dtype in HALF)


def test_errors_of_no_update_are_zero():
    linear, skills = layer_and_skills(torch.bfloat16)
    bank = SkillBank(linear, skills)
    assert bank.blending_error(torch.zeros(3)) == bank.merging_error(torch.zeros(3)) == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_applied_is_what_was_searched(dtype):
    """In float32 the weights themselves hold the blend, in half precision it stays beside them."""
    linear, skills = layer_and_skills(dtype)
    bank = SkillBank(linear, skills)
    before, x = linear[0].weight.clone(), torch.randn(2, 5, 64).to(dtype)
    with torch.no_grad(), bank.blend(WEIGHTS):
        searched = linear(x)
    with torch.no_grad(), bank.applied(WEIGHTS):
        applied, changed = linear(x), not torch.equal(linear[0].weight, before)
    assert changed == (dtype == torch.float32)
    torch.testing.assert_close(applied, searched, rtol=1e-5, atol=0 if dtype == torch.bfloat16 else 1e-6)
    assert torch.equal(linear[0].weight, before)


@pytest.mark.parametrize(("rank", "merges"), [(1, False), (5, False), (60, True)])
def test_blend_in_half_precision_is_in_a_float32_weight_where_that_is_cheaper(rank, merges):
    linear, skills = layer_and_skills(torch.bfloat16, ranks=(rank, rank, rank))
    tokens, total = 4000, 3 * rank
    with (
        FlopCounterMode(display=False) as counted,
        torch.no_grad(),
        SkillBank(linear, skills).blend(WEIGHTS),
    ):
        linear(torch.randn(tokens, 64, dtype=torch.bfloat16))
    in_it = 2 * 64 * 48 * (tokens + total)
    beside = 2 * tokens * (64 * 48 + total * (64 + 48))
    assert (blending.SLOWER["cpu"] * in_it < beside) == merges
    assert counted.get_total_flops() == (in_it if merges else beside)
