"""The surrogate: exact for what is linear, corrected by every evaluation, true to the vocabulary's probabilities."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mdkif import Surrogate
from mdkif.core.routing.surrogate import TOP_K, summary, top_k

SEEDS = st.integers(0, 10_000)


def linear(seed, count=4, size=(3, 5)):
    draw = torch.Generator().manual_seed(seed)
    start, slopes = torch.randn(size, generator=draw), torch.randn((count, *size), generator=draw)
    return lambda weights: start + torch.einsum("k,kpw->pw", weights.flatten().float(), slopes)


def corners(count):
    return [torch.zeros(count), *torch.eye(count), torch.full((count,), 1 / count)]


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_surrogate_predicts_a_linear_model_exactly_from_base_and_singles(seed):
    model, surrogate = linear(seed), Surrogate()
    for weights in corners(4):
        surrogate.note(weights, model(weights))
    asked = 2 * torch.randn(4, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(surrogate.around(torch.full((4,), 0.25))(asked), model(asked), rtol=2e-3, atol=2e-3)


def curved(weights):
    """Logits (2, 3) that bend with the weights (3,)."""
    return torch.stack([weights.sin() * 2, weights**2 - weights.roll(1)])


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_surrogate_is_corrected_between_evaluations_all_around(seed):
    """They must lie on every side: points that nearly share a plane say nothing of the slope across it."""
    draw = torch.Generator().manual_seed(seed)
    center = torch.rand(3, generator=draw)
    surrogate = Surrogate()
    for weights in corners(3):
        surrogate.note(weights, curved(weights))
    before = (surrogate.around(center)(center) - curved(center)).norm()
    axes, _ = torch.linalg.qr(torch.randn(3, 3, generator=draw))
    for step in torch.cat([axes, -axes]):
        surrogate.note(center + 0.05 * step, curved(center + 0.05 * step))
    asked = center + 0.05 * (2 * torch.rand(3, generator=draw) - 1) @ axes / 3**0.5
    after = (surrogate.around(center)(asked) - curved(asked)).norm()
    assert after < min(0.04, 0.7 * before)


def test_surrogate_is_the_weighted_least_squares_solution():
    draw = torch.Generator().manual_seed(0)
    points, center = torch.rand(9, 3, generator=draw), torch.rand(3, generator=draw)
    surrogate = Surrogate()
    for weights in points:
        surrogate.note(weights, curved(weights))
    steps = (points - center).double().numpy()
    root = 1 / np.sqrt(1e-5 + (steps**2).sum(1))
    design = np.column_stack([np.ones(9), steps]) * root[:, None]
    values = np.stack([curved(weights).flatten().double().numpy() for weights in points]) * root[:, None]
    solution, *_ = np.linalg.lstsq(design, values, rcond=None)
    asked = torch.rand(3, generator=draw)
    expected = np.concatenate([[1.0], (asked - center).double().numpy()]) @ solution
    assert surrogate.around(center)(asked).flatten().numpy() == pytest.approx(expected, abs=1e-3)


def test_surrogate_can_be_differentiated_and_takes_weights_of_any_shape():
    surrogate = Surrogate()
    model = linear(1, count=6)
    for weights in corners(6):
        surrogate.note(weights.reshape(2, 3), model(weights))
    assert surrogate.knows(torch.eye(6)[2].reshape(2, 3))
    assert not surrogate.knows(torch.full((2, 3), 0.5))
    leaf = torch.zeros(2, 3).requires_grad_(True)
    surrogate.around(torch.zeros(2, 3))(leaf).sum().backward()
    slopes = torch.stack([model(row).sum() - model(torch.zeros(6)).sum() for row in torch.eye(6)])
    torch.testing.assert_close(leaf.grad.flatten(), slopes, rtol=2e-3, atol=2e-3)


@settings(deadline=None)
@given(SEEDS, st.sampled_from([5, 33, 34, 200]))
def test_surrogate_summary_keeps_the_top_k_tokens_probabilities(seed, vocabulary):
    draw = torch.Generator().manual_seed(seed)
    logits = 5 * torch.randn(4, vocabulary, generator=draw)
    gold = torch.randint(vocabulary, (4,), generator=draw)
    tokens = top_k(logits, gold)
    assert tokens.shape == (4, min(TOP_K + 1, vocabulary))
    assert torch.equal(tokens[:, 0], gold)
    assert all(len(set(row)) == len(row) for row in tokens.tolist())
    for row, own in zip(logits, tokens, strict=True):
        rest = [row[i].item() for i in range(vocabulary) if i not in own.tolist()]
        assert not rest or max(rest) <= row[own[1:]].min()
    other = 5 * torch.randn(4, vocabulary, generator=draw)
    kept = torch.softmax(summary(other, tokens), -1)[:, :-1]
    torch.testing.assert_close(kept, torch.softmax(other, -1).gather(1, tokens), rtol=1e-4, atol=1e-6)
