"""The fitted temperature and offset, against SciPy's minimum of the same loss written out, and by what must hold."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mdkif.core.inference.calibration import choice_loss, temperature
from scipy.optimize import minimize
from scipy.special import log_expit, logsumexp

SEEDS = st.integers(0, 10_000)


def drawn(seed, records=6, options=4, spread=3.0, multi_label=False):
    """Scores, right and listed options of records that list one to `options` of them."""
    draw = torch.Generator().manual_seed(seed)
    scores = spread * torch.randn(records, options, generator=draw)
    counts = torch.randint(2, options + 1, (records,), generator=draw)
    listed = torch.arange(options) < counts[:, None]
    if multi_label:
        right = (torch.rand(records, options, generator=draw) < 0.4) & listed
    else:
        right = torch.arange(options) == (torch.rand(records, generator=draw) * counts).long()[:, None]
    return scores, right, listed


def by_hand(scores, right, listed, multi_label):
    """The least loss, and the temperature there."""
    values, right, listed = (each.numpy() for each in (scores.double(), right, listed))
    count = int(listed.sum()) if multi_label else len(values)

    def loss(point):
        slope = math.exp(point[0])
        prior = slope - 1 - point[0]
        if multi_label:
            logits = slope * (values[listed] - values[listed].mean()) + point[1]
            own = -log_expit(np.where(right[listed], logits, -logits)).sum()
            prior += -log_expit(point[1]) - log_expit(-point[1]) - 2 * math.log(2)
        else:
            own = sum(
                logsumexp(slope * row[there]) - slope * row[gold][0]
                for row, gold, there in zip(values, right, listed, strict=True)
            )
        return (own + prior) / count

    starts = [[math.log(slope), offset] for slope in (0.01, 0.3, 1, 5, 30) for offset in (-2.0, 0.0, 2.0)]
    found = [minimize(loss, start[: 1 + multi_label], method="BFGS", options={"gtol": 1e-10}) for start in starts]
    least = min(found, key=lambda each: each.fun)
    return least.fun, math.exp(-least.x[0])


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("spread", [0.01, 1.0, 4.0, 40.0])
def test_choice_loss_is_the_least_that_scipy_finds(multi_label, spread):
    for seed in range(5):
        given = drawn(seed, spread=spread, multi_label=multi_label)
        least, at = by_hand(*given, multi_label)
        assert choice_loss(*given, multi_label).item() == pytest.approx(least, rel=1e-6, abs=1e-9)
        assert temperature(*given, multi_label).item() == pytest.approx(at, rel=1e-3)


@settings(max_examples=50, deadline=None)
@given(SEEDS, st.sampled_from([0.0, 1e-3, 1.0, 30.0, 1e3]), st.booleans(), st.integers(1, 8), st.integers(2, 5))
def test_choice_loss_is_finite_and_least_at_its_temperature(seed, spread, multi_label, records, options):
    scores, right, listed = drawn(seed, records, options, spread, multi_label)
    least = choice_loss(scores, right, listed, multi_label)
    slope = 1 / temperature(scores, right, listed, multi_label)
    assert least.isfinite()
    assert slope.isfinite()
    assert slope > 0
    if not multi_label:
        for other in (0.9 * slope, 1.1 * slope):
            logits = (other * scores.double()).masked_fill(~listed, -torch.inf)
            own = -torch.log_softmax(logits, -1)[right].mean() + (other - 1 - other.log()) / records
            assert least <= own + 1e-9


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.booleans())
def test_choice_loss_of_a_population_is_that_of_each_alone(seed, multi_label):
    many = [drawn(seed, multi_label=multi_label)[0] * size for size in (0.1, 1.0, 7.0)]
    _, right, listed = drawn(seed, multi_label=multi_label)
    together = choice_loss(torch.stack(many), right, listed, multi_label)
    each = torch.stack([choice_loss(scores, right, listed, multi_label) for scores in many])
    torch.testing.assert_close(together, each, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("multi_label", [False, True])
def test_choice_loss_has_the_gradient_of_the_fitted_loss(multi_label):
    """Finite differences fit anew beside the point: that the fit moves costs nothing at its minimum."""
    scores, right, listed = drawn(3, multi_label=multi_label)
    leaf = scores.double().requires_grad_(True)
    assert torch.autograd.gradcheck(lambda s: choice_loss(s, right, listed, multi_label), leaf, atol=1e-6)
    choice_loss(leaf, right, listed, multi_label).backward()
    assert leaf.grad[~listed].abs().max() == 0
    assert leaf.grad[listed].abs().min() > 0


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.floats(-50, 50))
def test_choice_loss_ignores_what_the_options_of_a_record_have_in_common(seed, shift):
    scores, right, listed = drawn(seed)
    shifted = scores.double() + shift * torch.arange(len(scores))[:, None]
    expected = choice_loss(scores, right, listed, False)
    torch.testing.assert_close(choice_loss(shifted, right, listed, False), expected, rtol=1e-6, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.floats(-50, 50))
def test_choice_loss_of_labels_ignores_what_all_labels_have_in_common(seed, shift):
    scores, right, listed = drawn(seed, multi_label=True)
    expected = choice_loss(scores, right, listed, True)
    torch.testing.assert_close(choice_loss(scores + shift, right, listed, True), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("multi_label", [False, True])
def test_choice_loss_does_not_end_where_every_answer_is_right(multi_label):
    """Wider margins still are better, so that a search has a way to go."""
    _, right, listed = drawn(0, multi_label=multi_label)
    losses = [choice_loss(margin * right.float(), right, listed, multi_label).item() for margin in (0.5, 1, 2, 4)]
    assert losses == sorted(losses, reverse=True)
    assert all(loss > 0 for loss in losses)


def test_scores_that_say_nothing_are_as_good_as_their_number():
    right = torch.tensor([[True, False, False]] * 5)
    listed = torch.ones(5, 3, dtype=torch.bool)
    assert choice_loss(torch.zeros(5, 3), right, listed, False).item() == pytest.approx(math.log(3))
    assert temperature(torch.zeros(5, 3), right, listed, False).item() == pytest.approx(1)


def test_scores_that_mislead_are_all_but_ignored():
    right = torch.tensor([[True, False]] * 50)
    wrong = torch.tensor([[-3.0, 0.0]] * 50)
    listed = torch.ones(50, 2, dtype=torch.bool)
    assert temperature(wrong, right, listed, False).item() > 20
    assert math.log(2) < choice_loss(wrong, right, listed, False).item() < math.log(2) + 0.15
