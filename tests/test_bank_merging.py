"""In the weight or beside it: both compute the same, with the same gradients, and the cheaper one is chosen."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mdkif.core.adapters import blending as module
from mdkif.core.adapters.bank import SkillBank
from mdkif.core.adapters.blending import merging_pays
from mdkif.core.adapters.low_rank import LowRank
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

WIDTHS = st.sampled_from([8, 24, 40])


def layer_and_bank(inputs, outputs, ranks=(3, 0, 5), bias=True, dtype=torch.float64):
    draw = torch.Generator().manual_seed(inputs * outputs)
    linear = nn.Sequential(nn.Linear(inputs, outputs, bias=bias).to(dtype)).requires_grad_(False)
    updates = [
        LowRank(torch.randn(rank, inputs, generator=draw), torch.randn(outputs, rank, generator=draw)) for rank in ranks
    ]
    return linear, SkillBank(linear, {f"s{i}": {"0": update} for i, update in enumerate(updates)})


def always(monkeypatch, answer):
    monkeypatch.setattr(module, "merging_pays", lambda *_: answer)


def relative(found, exact):
    return float((found.double() - exact).norm() / exact.norm())


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 60), WIDTHS, WIDTHS, st.booleans(), st.integers(0, 100))
def test_blending_gives_the_same_outputs_and_gradients_both_ways(tokens, inputs, outputs, bias, seed):
    linear, bank = layer_and_bank(inputs, outputs, bias=bias)
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(2, tokens, inputs, generator=draw, dtype=torch.float64)
    slope = torch.randn(2, tokens, outputs, generator=draw, dtype=torch.float64)
    weights = torch.randn(3, generator=draw, dtype=torch.float64)
    found = []
    with pytest.MonkeyPatch.context() as monkeypatch:
        for answer in (True, False):
            always(monkeypatch, answer)
            leaves = x.clone().requires_grad_(True), weights.clone().requires_grad_(True)
            with bank.blend(leaves[1]):
                output = linear(leaves[0])
            output.backward(slope)
            found.append((output.detach(), leaves[0].grad, leaves[1].grad))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)
    dense = linear[0].weight + sum(
        w * bank.delta("0", row).double() for w, row in zip(weights, torch.eye(3), strict=True)
    )
    torch.testing.assert_close(found[0][0], nn.functional.linear(x, dense, linear[0].bias), rtol=1e-4, atol=1e-4)


def test_blending_merged_gradient_is_that_of_finite_differences(monkeypatch):
    linear, bank = layer_and_bank(6, 5)
    always(monkeypatch, True)

    def output(x, weights):
        with bank.blend(weights):
            return linear(x)

    x = torch.randn(4, 6, dtype=torch.float64, requires_grad=True)
    weights = torch.tensor([0.3, 1.0, -0.7], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(output, (x, weights))


def operations(linear, bank, tokens, monkeypatch, answer):
    """Multiplications and additions of a forward pass, as PyTorch counts them."""
    always(monkeypatch, answer)
    x = torch.randn(tokens, linear[0].in_features)
    with FlopCounterMode(display=False) as counted, torch.no_grad(), bank.blend(torch.ones(3)):
        linear(x)
    return counted.get_total_flops()


@pytest.mark.parametrize(("inputs", "outputs"), [(64, 64), (64, 192), (192, 64), (24, 400)])
@pytest.mark.parametrize("ranks", [(1, 1, 1), (4, 0, 12), (60, 60, 60)])
def test_blending_takes_the_cheaper_way_by_operations_counted(inputs, outputs, ranks, monkeypatch):
    linear, bank = layer_and_bank(inputs, outputs, ranks, dtype=torch.float32)
    turn = inputs * outputs // (inputs + outputs)
    choices = []
    for tokens in (1, turn - 1, turn, turn + 1, 4 * turn):
        chosen = merging_pays(tokens, inputs, outputs)
        merged, beside = (operations(linear, bank, tokens, monkeypatch, answer) for answer in (True, False))
        assert merged == 2 * tokens * inputs * outputs + 2 * sum(ranks) * inputs * outputs
        assert beside == 2 * tokens * inputs * outputs + 2 * sum(ranks) * tokens * (inputs + outputs)
        assert (merged < beside) == chosen
        for slower in (1.0, 1.3, 2.2, 8.0):
            assert merging_pays(tokens, inputs, outputs, sum(ranks), slower) == (slower * merged < beside)
        choices.append(chosen)
        monkeypatch.undo()
    assert choices[0] is False
    assert choices[-1] is True


def test_blending_gradient_of_the_merged_way_needs_fewer_operations(monkeypatch):
    linear, bank = layer_and_bank(64, 64, dtype=torch.float32)
    counts = []
    for answer in (True, False):
        always(monkeypatch, answer)
        x, weights = torch.randn(200, 64, requires_grad=True), torch.ones(3, requires_grad=True)
        with FlopCounterMode(display=False) as counted, bank.blend(weights):
            linear(x).sum().backward()
        counts.append(counted.get_total_flops())
    assert counts[0] < counts[1]


def test_blending_of_skills_without_weight_needs_no_operations(monkeypatch):
    linear, bank = layer_and_bank(40, 40, ranks=(3, 2, 5))
    x = torch.randn(20, 40, dtype=torch.float64)
    for answer, each in ((True, 2 * 40 * 40), (False, 2 * 20 * 80)):
        always(monkeypatch, answer)
        for weights, rank in (([0, 0, 0], 0), ([0, 1, 0], 2), ([1, 0, 2], 8)):
            blend = torch.tensor(weights, dtype=torch.float64)
            with FlopCounterMode(display=False) as counted, torch.no_grad(), bank.blend(blend):
                found = linear(x)
            assert counted.get_total_flops() == 2 * 20 * 40 * 40 + each * rank
            dense = linear[0].weight + bank.delta("0", blend)
            torch.testing.assert_close(found, nn.functional.linear(x, dense, linear[0].bias), rtol=1e-9, atol=1e-9)


def test_blending_rows_of_different_blends_are_computed_beside_the_weight():
    linear, bank = layer_and_bank(8, 8)
    x = torch.randn(3, 50, 8, dtype=torch.float64)
    weights = torch.randn(3, 3, dtype=torch.float64)
    with bank.blend(weights):
        together = linear(x)
    for i in range(3):
        with bank.blend(weights[i]):
            torch.testing.assert_close(linear(x[i : i + 1]), together[i : i + 1], rtol=1e-9, atol=1e-9)


def test_blending_runs_a_candidate_alone_from_the_tokens_at_which_most_layers_merge():
    _, bank = layer_and_bank(64, 64)
    assert [bank.worth_alone(tokens) for tokens in (1, 32, 33, 500)] == [False, False, True, True]
    assert not SkillBank(nn.Sequential(nn.Linear(4, 4)), {"none": {}}).worth_alone(10**6)


def test_blending_layers_own_forward_is_back_after_the_block_and_after_an_error():
    linear, bank = layer_and_bank(8, 8)
    x = torch.randn(2, 8, dtype=torch.float64)
    before = linear(x)
    with bank.blend(torch.ones(3)):
        assert not torch.allclose(linear(x), before)
    assert torch.equal(linear(x), before)
    with pytest.raises(RuntimeError), bank.blend(torch.ones(3)):
        linear(torch.ones(1, 3))
    assert torch.equal(linear(x), before)
    assert "forward" not in vars(linear[0])
