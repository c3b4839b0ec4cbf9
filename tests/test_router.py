"""The router's equations by hand with NumPy, in float64."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mdkif.core.routing.weights import FLOOR, WeightParameterization

NORMS = torch.tensor([0.5, 1.0, 1.5])
POINT = [0.3, -1.2, 0.8, 0.1, 0.4, -0.6]


def softmax(logits):
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def by_hand(point, norms, temperature):
    """e_i = a_i s(theta_i) + b_i (eq. 2), R = softmax(e / tau) (eq. 3)."""
    count = norms.size
    a, b = (np.reshape(part, norms.shape) for part in (point[:count], point[count : 2 * count]))
    return softmax((a * norms + b) / temperature)


@pytest.mark.parametrize("temperature", [0.1, 1.0, 7.0])
def test_weights_are_the_softmax_of_the_experts_energies(temperature):
    space = WeightParameterization(NORMS, temperature)
    expected = by_hand(np.array(POINT), NORMS.double().numpy(), temperature)
    assert space.size == 6
    assert space.weights(torch.tensor(POINT)).numpy() == pytest.approx(expected, rel=1e-5)
    assert space.weights(torch.tensor(POINT)).sum().item() == pytest.approx(1)


def test_weights_norm_moves_an_energy_only_through_its_a():
    logits = torch.log(WeightParameterization(NORMS).weights(torch.tensor([2.0, 0, 0, 0, 0, 0])))
    assert (logits[0] - logits[1]).item() == pytest.approx(2.0 * 0.5, rel=1e-5)
    assert logits[1].item() == pytest.approx(logits[2].item())


def test_weights_high_temperatures_are_uniform_and_low_ones_choose_the_best():
    point = torch.tensor(POINT)
    assert WeightParameterization(NORMS, 1e4).weights(point).tolist() == pytest.approx([1 / 3] * 3, abs=1e-3)
    assert WeightParameterization(NORMS, 1e-3).weights(point).tolist() == pytest.approx([0, 0, 1], abs=1e-6)


def test_weights_of_a_population_are_those_of_each_candidate_alone():
    for scale, norms in (("one", NORMS), ("free", NORMS), ("free", torch.rand(4, 3) + 0.5)):
        space = WeightParameterization(norms, 0.7, scale)
        points = torch.randn(5, space.size, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(space.weights(points), torch.stack([space.weights(p) for p in points]))
        for name in ("alpha", "weights"):
            torch.testing.assert_close(
                space.penalty(points, name), torch.stack([space.penalty(p, name) for p in points])
            )
        assert space.weights(points).shape == (5, *norms.shape)
        assert space.penalty(points, "alpha").shape == (5,)


def test_weights_free_scale_multiplies_the_shares():
    one, free = WeightParameterization(NORMS), WeightParameterization(NORMS, scale="free")
    assert free.size == one.size + 1
    for total in (0.25, 1.0, 3.0):
        point = torch.tensor([*POINT, math.log(total)])
        torch.testing.assert_close(free.weights(point), total * one.weights(torch.tensor(POINT)))
        torch.testing.assert_close(free.shares(point), one.weights(torch.tensor(POINT)))
        torch.testing.assert_close(free.penalty(point, "shares"), one.penalty(torch.tensor(POINT), "weights"))
        torch.testing.assert_close(
            free.penalty(point, "weights"), total**2 * one.penalty(torch.tensor(POINT), "weights")
        )
        torch.testing.assert_close(free.penalty(point, "alpha"), one.penalty(torch.tensor(POINT), "alpha"))


@pytest.mark.parametrize("scale", ["one", "free"])
def test_weights_regularisers_by_hand(scale):
    """sum ||a_i||^2 (SA-MDKIF eq. 6) and sum R_i^2 (STAF-LLM eq. 7), of the weights or of their shares."""
    point = torch.tensor(POINT + [math.log(3.0)] * (scale == "free"))
    space = WeightParameterization(NORMS, 0.5, scale)
    assert space.penalty(point, "alpha").item() == pytest.approx(0.3**2 + 1.2**2 + 0.8**2)
    shares = by_hand(np.array(POINT), NORMS.double().numpy(), 0.5)
    assert space.penalty(point, "shares").item() == pytest.approx((shares**2).sum(), rel=1e-5)
    total = 3.0 if scale == "free" else 1.0
    assert space.penalty(point, "weights").item() == pytest.approx(total**2 * (shares**2).sum(), rel=1e-5)


@pytest.mark.parametrize("shape", [(3,), (4, 3)])
@pytest.mark.parametrize("scale", ["one", "free", "signed"])
def test_weights_regulariser_of_weights_is_that_of_their_parameters_whatever_these_are(shape, scale):
    space = WeightParameterization.of(torch.rand(shape) + 0.5, scale)
    points = torch.randn(5, space.size, generator=torch.Generator().manual_seed(1))
    for name in ("weights", "shares"):
        torch.testing.assert_close(
            space.weight_penalty(space.weights(points), name), space.penalty(points, name), rtol=1e-4, atol=1e-6
        )
    assert space.weight_penalty(space.weights(points), "alpha").tolist() == [0.0] * 5
    zero, alone, even = torch.zeros(shape), torch.eye(3)[0].expand(shape), torch.full(shape, 1 / 3)
    groups = torch.Size(shape).numel() // 3
    charged = [float(space.weight_penalty(each, "weights")) for each in (zero, alone, even, 2 * even, -even)]
    assert charged == pytest.approx([0, groups, groups / 3, 4 * groups / 3, groups / 3])
    charged = [float(space.weight_penalty(each, "shares")) for each in (zero, alone, even, 2 * even, -even)]
    assert charged == pytest.approx([groups / 3, groups, groups / 3, groups / 3, groups / 3])


@pytest.mark.parametrize("shape", [(1,), (3,), (4, 3)])
def test_weights_signed_weights_are_any_and_exactly_their_parameters(shape):
    space = WeightParameterization.of(torch.rand(shape) + 0.5, "signed", 0.3)
    count = torch.Size(shape).numel()
    assert space.size == space.directions == count
    weights = torch.randn(6, *shape, generator=torch.Generator().manual_seed(2))
    points = torch.stack([space.parameters(each) for each in weights])
    assert points.shape == (6, count)
    assert torch.equal(space.weights(points), weights)
    assert torch.equal(space.expand(space.reduce(points)), points)
    moved = space.weights(torch.eye(count)) - space.weights(torch.zeros(count))
    assert moved.flatten(1).norm(dim=1).tolist() == pytest.approx([0.5] * count)
    with pytest.raises(ValueError, match=r"use WeightParameterization\.of"):
        WeightParameterization(torch.ones(3), scale="signed")


def test_weights_of_every_group_have_a_router_of_their_own():
    norms = torch.tensor([[0.5, 1.5], [1.0, 1.0], [1.2, 0.8]])
    space = WeightParameterization(norms, 2.0)
    point = np.linspace(-2, 1, 12)
    weights = space.weights(torch.tensor(point, dtype=torch.float32))
    assert weights.shape == (3, 2)
    assert weights.numpy() == pytest.approx(by_hand(point, norms.double().numpy(), 2.0), rel=1e-5)
    assert weights.sum(-1).tolist() == pytest.approx([1, 1, 1])
    expected = (weights.double() ** 2).sum().item()
    assert space.penalty(torch.tensor(point, dtype=torch.float32), "weights").item() == pytest.approx(
        expected, rel=1e-5
    )


def test_weights_gradients_are_finite_differences():
    space = WeightParameterization(NORMS.double(), 0.8, "free")
    point = torch.tensor([*POINT, 0.3], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(space.weights, point)
    for name in ("alpha", "weights", "shares"):
        assert torch.autograd.gradcheck(lambda p, name=name: space.penalty(p, name), point)


SHARES = st.lists(st.floats(0, 1), min_size=1, max_size=12).filter(lambda shares: sum(shares) > 0.01)


@given(SHARES, st.floats(0.05, 5), st.floats(0.05, 20), st.sampled_from(["one", "free"]))
def test_weights_parameters_give_back_the_weights_but_for_the_floor(shares, total, temperature, scale):
    count = len(shares)
    own = torch.tensor(shares, dtype=torch.float64) / sum(shares)
    space = WeightParameterization(torch.linspace(0.5, 1.5, count), temperature, scale)
    point = space.parameters((own * total).float())
    assert point.shape == (space.size,)
    assert point[:count].abs().max() == 0
    expected = ((1 - FLOOR) * own + FLOOR / count) * (total if scale == "free" else 1)
    assert space.weights(point).tolist() == pytest.approx(expected.tolist(), rel=1e-3, abs=1e-6)
    assert abs(point[count : 2 * count].mean().item()) < 1e-4 * max(1, temperature)


@given(st.integers(1, 8), st.sampled_from(["one", "free"]))
def test_weights_base_becomes_nearly_nothing_where_the_scale_is_free_and_uniform_elsewhere(count, scale):
    space = WeightParameterization(torch.ones(count), scale=scale)
    weights = space.weights(space.parameters(torch.zeros(count)))
    assert weights.tolist() == pytest.approx([(FLOOR if scale == "free" else 1) / count] * count, rel=1e-4)


def test_weights_parameters_of_groups_give_back_their_weights():
    weights = torch.tensor([[0.2, 0.8], [0.5, 0.5], [0.9, 0.1]])
    space = WeightParameterization(torch.ones(3, 2), scale="free")
    expected = (1 - FLOOR) * weights + FLOOR / 2
    torch.testing.assert_close(space.weights(space.parameters(weights)), expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(space.weights(space.parameters(2 * weights)), 2 * expected, rtol=1e-4, atol=1e-6)


SPACES = st.builds(
    lambda shape, temperature, scale: WeightParameterization(torch.rand(shape) + 0.5, temperature, scale),
    st.sampled_from([(1,), (2,), (5,), (3, 1), (4, 3)]),
    st.sampled_from([0.5, 1.0, 3.0]),
    st.sampled_from(["one", "free"]),
)


@settings(deadline=None)
@given(SPACES, st.integers(0, 1000))
def test_weights_free_directions_reach_all_weights_and_each_moves_them(space, seed):
    draw = torch.Generator().manual_seed(seed)
    parameters = torch.randn(6, space.size, generator=draw)
    points = space.reduce(parameters)
    groups, count = space.norms[..., 0].numel(), space.norms.shape[-1]
    assert points.shape == (6, space.directions) == (6, groups * (count - 1) + (space.scale == "free"))
    torch.testing.assert_close(space.weights(space.expand(points)), space.weights(parameters), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(space.reduce(space.expand(points)), points, rtol=1e-4, atol=1e-5)
    origin = space.weights(space.expand(torch.zeros(space.directions)))
    for direction in torch.eye(space.directions):
        assert not torch.allclose(space.weights(space.expand(direction)), origin, atol=1e-3)


@settings(deadline=None)
@given(SPACES, st.integers(0, 1000))
def test_weights_free_directions_keep_lengths_and_never_cost_more(space, seed):
    """Steps of the same length are as likely in every direction; a = 0 has the least penalty of its weights."""
    parameters = torch.randn(space.size, generator=torch.Generator().manual_seed(seed))
    point = space.reduce(parameters)
    count, total = space.norms.numel(), int(space.scale == "free")
    b = space.expand(point)[count : 2 * count]
    length = b.square().sum() + space.expand(point)[2 * count :].square().sum()
    torch.testing.assert_close(length, point.square().sum(), rtol=1e-4, atol=1e-5)
    assert space.penalty(space.expand(point), "alpha") == 0 <= space.penalty(parameters, "alpha")
    torch.testing.assert_close(
        space.penalty(space.expand(point), "weights"), space.penalty(parameters, "weights"), rtol=1e-4, atol=1e-6
    )
    assert space.expand(point).shape == (2 * count + total,)
