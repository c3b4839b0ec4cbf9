"""What a router minimises: the loss at the weights, its regulariser, its gradient, and metrics in its place."""

import pytest
import torch
from mdkif import BadInput, best, starting_points

SIGNED = torch.tensor([[0.9, -1.4, 0.2], [-0.3, 0.1, 1.5], [0.0, 0.0, 0.0]])


def test_objective_evaluates_nothing_before_it_is_asked_for(objective, ready):
    own = objective()
    assert own.evaluations == 0
    assert not (ready.store.root / "cache").exists()
    assert [each.name for each in own.references] == ["base", "qa", "nli", "er", "uniform"]
    assert own.evaluations == 5
    again = objective()
    assert [each.value for each in again.references] == [each.value for each in own.references]
    assert again.evaluations == 0


def test_objective_of_a_population_is_that_of_each_candidate_alone(objective):
    for granularity in ("skill", "module"):
        one = objective(granularity=granularity, gamma=0.2, regulariser="alpha")
        points = torch.randn(5, one.space.size, generator=torch.Generator().manual_seed(2))
        before = one.evaluations
        values = one.values(points)
        assert one.evaluations == before + 5
        assert values == pytest.approx([one.values(point[None])[0] for point in points], rel=1e-5)
        narrow = objective(granularity=granularity, gamma=0.2, regulariser="alpha", tokens=200)
        assert values == pytest.approx(narrow.values(points), rel=1e-5)
        assert len({round(value, 3) for value in values}) == 5


def test_objective_values_are_the_loss_at_the_softmax_weights_plus_the_regulariser(objective, measured):
    point = torch.tensor([0.5, -0.4, 0.1, 0.2, 0.3, -0.7])
    for regulariser in ("alpha", "weights"):
        own = objective(gamma=0.3, regulariser=regulariser, temperature=0.7)
        energies = (point[:3] * own.space.norms + point[3:]) / 0.7
        shares = energies.exp() / energies.exp().sum()
        penalty = (point[:3] if regulariser == "alpha" else shares).square().sum().item()
        loss = measured(dict(zip(("qa", "nli", "er"), shares.tolist(), strict=True)))
        assert own.values(point[None]) == pytest.approx([loss + 0.3 * penalty], rel=1e-4)


def test_objective_at_weights_is_the_loss_there_plus_their_squares(objective, measured):
    """Also for weights that no softmax gives, and beyond 1."""
    skills = ("qa", "nli", "er")
    losses = [measured(dict(zip(skills, row.tolist(), strict=True))) for row in SIGNED]
    own = objective(gamma=0.3)
    before = own.evaluations + len(own.references)
    assert own.evaluate_weights(SIGNED) == pytest.approx(
        [loss + 0.3 * float((row**2).sum()) for loss, row in zip(losses, SIGNED, strict=True)], rel=1e-4
    )
    assert own.evaluations == before + 2, "the base, weights of 0, is known"
    assert objective(gamma=0.3, regulariser="alpha").evaluate_weights(SIGNED) == pytest.approx(losses, rel=1e-4), (
        "a is 0"
    )
    assert len({round(loss, 3) for loss in losses}) == 3


def test_objective_at_softmax_weights_is_the_value_of_their_parameters(objective):
    for settings in ({"gamma": 0.4}, {"gamma": 0.4, "granularity": "layer"}, {"scale": "free"}):
        own = objective(**settings)
        points = torch.randn(3, own.space.size, generator=torch.Generator().manual_seed(8))
        weights = own.space.weights(points)
        assert weights.shape == (3, *own.space.norms.shape)
        assert own.evaluate_weights(weights) == pytest.approx(own.values(points), rel=1e-6)


def test_objective_at_the_references_is_theirs(objective):
    for settings in ({"gamma": 0.6}, {"gamma": 0.6, "granularity": "module"}, {"gamma": 0.6, "regulariser": "alpha"}):
        own = objective(**settings)
        known = [candidate.value for candidate in own.references]
        assert own.evaluate_weights(torch.stack([candidate.weights for candidate in own.references])) == pytest.approx(
            known, rel=1e-5
        )


def test_objective_of_a_metric_is_valued_at_weights_too(objective, accuracy):
    [found] = objective(objective="accuracy").evaluate_weights(SIGNED[:1])
    skills = ("qa", "nli", "er")
    assert found == pytest.approx(-accuracy(dict(zip(skills, SIGNED[0].tolist(), strict=True))))


def test_objective_references_carry_the_regulariser_of_their_own_shares(objective):
    bare, weighed = objective(), objective(gamma=0.6)
    extra = [w.value - b.value for w, b in zip(weighed.references, bare.references, strict=True)]
    assert extra == pytest.approx([0, 0.6, 0.6, 0.6, 0.6 / 3], abs=1e-5)
    layered = [c.value for c in objective(gamma=0.6, granularity="layer").references]
    assert [a - b.value for a, b in zip(layered, bare.references, strict=True)] == pytest.approx(
        [0, 1.2, 1.2, 1.2, 0.4], abs=1e-5
    )
    alphas = objective(gamma=0.6, regulariser="alpha").references
    assert [c.value for c in alphas] == pytest.approx([c.value for c in bare.references])


def test_objective_references_are_charged_for_their_shares_alike(objective):
    """Base has none and is charged as uniform is, the least there can be."""
    bare, weighed = objective(), objective(gamma=0.6, regulariser="shares")
    extra = [w.value - b.value for w, b in zip(weighed.references, bare.references, strict=True)]
    assert extra == pytest.approx([0.2, 0.6, 0.6, 0.6, 0.2], abs=1e-5)


@pytest.mark.parametrize(
    "settings", [{"scale": "free"}, {"scale": "signed"}, {"scale": "free", "granularity": "layer"}]
)
def test_objective_starting_points_are_the_best_single_and_uniform_at_their_best_total(objective, settings):
    own = objective(**settings, gamma=0.01)
    _, *singles, uniform = own.references
    assert best(singles).name == "qa"
    found = starting_points(own)
    for each, reference in zip(found, (best(singles), uniform), strict=True):
        values = {factor: own.evaluate_weights(factor * reference.weights[None])[0] for factor in (0.25, 0.5, 1, 2, 4)}
        factor = min(values, key=values.__getitem__)
        assert each.value == pytest.approx(values[factor])
        assert each.name == (reference.name if factor == 1 else f"{reference.name} x {factor:g}")
        torch.testing.assert_close(each.weights, factor * reference.weights)
    before = own.evaluations
    assert [each.value for each in starting_points(own)] == [each.value for each in found]
    assert own.evaluations == before


def test_objective_starting_points_of_a_fixed_total_are_references(objective):
    own = objective()
    before = own.evaluations + len(own.references)
    assert [each.name for each in starting_points(own)] == ["qa", "uniform"]
    assert own.evaluations == before
    alone = objective(["qa"], scale="free")
    assert len(starting_points(alone)) == 1


@pytest.mark.parametrize("settings", [
    {}, {"scale": "free", "gamma": 0.3}, {"granularity": "layer"}, {"tokens": 150}, {"scale": "signed", "gamma": 0.3},
])  # fmt: skip
def test_objective_gradient_is_the_slope_of_the_values(objective, settings):
    own = objective(**settings)
    point = torch.randn(own.space.size, generator=torch.Generator().manual_seed(4)) * 0.5
    value, gradient = own.gradient(point)
    assert value == pytest.approx(own.values(point[None])[0], rel=1e-5)
    steps = 0.02 * torch.eye(own.space.size)
    above, below = own.values(point + steps), own.values(point - steps)
    slopes = (torch.tensor(above) - torch.tensor(below)) / 0.04
    torch.testing.assert_close(gradient, slopes, rtol=3e-2, atol=2e-3)
    assert gradient.abs().max() > 0.05
    assert not point.requires_grad


def test_objective_mini_batch_gradient_is_that_of_its_rows(objective, examples, measured):
    own = objective()
    point = torch.zeros(6)
    value, _ = own.gradient(point, [1, 4])
    assert value == pytest.approx(
        measured(dict.fromkeys(("qa", "nli", "er"), 1 / 3), [examples[1], examples[4]]), rel=1e-4
    )


def test_objective_of_some_examples_is_theirs_and_paid_for_once(objective, examples, measured):
    own = objective()
    point = torch.tensor([[0.0, 0.0, 0.0, 0.4, -0.2, 0.9]])
    weights = dict(zip(("qa", "nli", "er"), own.space.weights(point[0]).tolist(), strict=True))
    before = own.evaluations
    assert own.values(point, [1, 4]) == pytest.approx([measured(weights, [examples[1], examples[4]])], rel=1e-4)
    assert own.evaluations == before + 2 / 8
    assert own.values(point) == pytest.approx([measured(weights)], rel=1e-4)
    assert own.values(point, [1, 4]) == own.values(point, [1, 4])
    assert own.evaluations == before + 1


def test_objective_of_a_metric_has_no_minibatch_and_no_surrogate(objective):
    own = objective(objective="accuracy")
    assert (own.supports_minibatch, objective().supports_minibatch) == (False, True)
    with pytest.raises(BadInput, match="'accuracy' is a metric of the whole adaptation set"):
        own.values(torch.zeros(1, 6), [0, 1])
    with pytest.raises(BadInput, match="'accuracy' has no surrogate: use --router cma-es"):
        own.surrogate(torch.zeros(3))


@pytest.mark.parametrize("settings", [{}, {"scale": "free", "gamma": 0.3}, {"granularity": "layer", "gamma": 0.1}])
def test_objective_surrogate_is_exact_where_blends_were_evaluated_and_near_it_beside(objective, settings):
    own = objective(**settings)
    draw = torch.Generator().manual_seed(3)
    near = torch.randn(own.space.size, generator=draw)
    forecast = own.surrogate(own.space.weights(near))
    for step in (0.05, 0.05):
        own.values((near + step * torch.randn(own.space.size, generator=draw))[None])
    [value] = own.values(near[None])
    known = own.surrogate(own.space.weights(near))
    before = abs(float(forecast(near)) - value)
    assert abs(float(known(near)) - value) <= max(1e-3, 0.2 * before)
    beside = near + 0.03 * torch.randn(own.space.size, generator=draw)
    [there] = own.values(beside[None])
    assert abs(float(known(beside)) - there) <= max(1e-3, abs(float(forecast(beside)) - there))


def test_objective_surrogate_can_be_differentiated_and_costs_no_evaluation(objective):
    own = objective()
    forecast = own.surrogate(own.references[-1].weights)
    before = own.evaluations
    leaf = torch.zeros(6).requires_grad_(True)
    forecast(leaf).backward()
    _, exact = own.gradient(torch.zeros(6))
    assert own.evaluations == before + 1
    assert torch.cosine_similarity(leaf.grad, exact, dim=0) > 0.8
