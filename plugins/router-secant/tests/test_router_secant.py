"""The secant router on an objective whose logits and best weights are known."""

import mdkif_router_secant
import pytest
import torch
from mdkif import BadInput, Candidate, Progress, Surrogate, WeightParameterization, best
from mdkif.testing import assert_conforms
from mdkif_router_secant import Secant

NORMS = torch.tensor([0.8, 1.0, 1.2, 0.9])
TARGET = torch.tensor([0.5, 0.1, 0.3, 0.1])


class Planted:
    """The cross-entropy of a blend's distributions from those of a blend with known weights; every logit bends."""

    supports_minibatch = True
    examples = ()

    def __init__(self, bend=0.3, scale="one", target=TARGET, norms=NORMS):
        draw = torch.Generator().manual_seed(0)
        count = len(norms)
        self.start, self.slopes = torch.randn(20, 6, generator=draw), torch.randn(count, 20, 6, generator=draw)
        self.bend = bend
        self.space = WeightParameterization.of(norms, scale)
        self.evaluated, self.known = [], Surrogate()
        self.wanted = torch.softmax(self.logits(target), -1)
        self.least = self.value(target)
        corners = {"base": torch.zeros(count), **{f"skill {i}": row for i, row in enumerate(torch.eye(count))}}
        corners["uniform"] = torch.full((count,), 1 / count)
        self.references = [Candidate(row, self.value(row), name) for name, row in corners.items()]

    def logits(self, weights):
        moved = torch.einsum("k,kpw->pw", weights, self.slopes)
        return self.start + moved + self.bend * moved.sin()

    def value(self, weights):
        self.known.note(weights, self.logits(weights))
        return float(-(self.wanted * torch.log_softmax(self.logits(weights), -1)).sum(-1).mean())

    def values(self, parameters, rows=None):
        weights = self.space.weights(parameters)
        self.evaluated += list(weights)
        return [self.value(each) for each in weights]

    def evaluate_weights(self, weights):
        return [self.value(each) for each in weights]

    def surrogate(self, near):
        forecast = self.known.around(near)
        return lambda p: -(self.wanted * torch.log_softmax(forecast(self.space.weights(p)), -1)).sum(-1).mean()

    def candidate(self, parameters, value):
        return Candidate(self.space.weights(parameters), value)


class Flat(Planted):
    """Nothing is ever better than the references, whatever the forecast says."""

    def value(self, weights):
        super().value(weights)
        return 1.0


def search(objective, seed=0, **settings):
    return Secant(**settings).search(objective, seed, Progress())


def test_secant_conforms():
    assert_conforms("mdkif-router-secant")


@pytest.mark.parametrize(("scale", "target"), [("one", TARGET), ("free", 1.4 * TARGET), ("signed", TARGET - 0.3)])
def test_secant_search_finds_known_weights_in_few_evaluations(scale, target):
    objective = Planted(scale=scale, target=target)
    found = search(objective, evaluations=15, tolerance=0.0)
    torch.testing.assert_close(found.weights, target, atol=0.02, rtol=0)
    assert found.value == pytest.approx(objective.least, rel=1e-3)
    assert len(objective.evaluated) <= 15


def test_secant_first_step_is_the_last_where_logits_are_linear():
    objective = Planted(bend=0.0)
    found = search(objective, evaluations=1)
    torch.testing.assert_close(found.weights, TARGET, atol=0.01, rtol=0)


def test_secant_strong_bends_are_followed_by_correcting_the_forecast():
    objective = Planted(bend=1.5)
    found = search(objective, evaluations=60, patience=60)
    assert found.value < best(objective.references).value
    assert found.value - objective.least < 0.1 * (best(objective.references).value - objective.least)


def test_secant_candidate_is_the_best_of_all_that_were_evaluated():
    objective = Planted()
    found = search(objective)
    assert found.value == min(objective.value(weights) for weights in objective.evaluated)
    assert found.value == pytest.approx(objective.value(found.weights))


def test_secant_blend_is_never_evaluated_twice():
    objective = Flat()
    search(objective, evaluations=12, patience=100)
    seen = [reference.weights for reference in objective.references] + objective.evaluated
    assert len(objective.evaluated) == 12
    for i, weights in enumerate(seen):
        assert all((weights - other).abs().max() >= 1e-4 for other in seen[:i])


def test_secant_reference_that_nothing_beats_is_the_result_after_patience():
    objective = Flat()
    assert search(objective, evaluations=50, patience=3) is objective.references[0]
    assert len(objective.evaluated) == 3


def test_secant_steps_that_gain_little_end_the_search():
    keen, content = Planted(bend=1.0), Planted(bend=1.0)
    search(keen, tolerance=0.0, patience=4)
    search(content, tolerance=0.5, patience=2)
    assert len(content.evaluated) < len(keen.evaluated)


@pytest.mark.parametrize("evaluations", [1, 5, 12])
def test_secant_budget_is_kept(evaluations):
    objective = Planted(bend=2.0)
    search(objective, evaluations=evaluations, patience=100)
    assert len(objective.evaluated) == evaluations
    with pytest.raises(BadInput, match="evaluations is 0: the secant search needs at least 1"):
        search(objective, evaluations=0)


def test_secant_one_skill_of_a_fixed_weight_leaves_nothing_to_search():
    objective = Planted(target=torch.ones(1), norms=torch.ones(1))
    found = search(objective)
    assert found is best(objective.references)
    assert objective.evaluated == []


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("best_alone", torch.eye(4))
def test_secant_step_that_must_leave_a_flat_softmax_is_found_in_a_few_tries(monkeypatch, best_alone, seed):
    tried, known = [], mdkif_router_secant.known
    monkeypatch.setattr(mdkif_router_secant, "known", lambda *given: tried.append(given) or known(*given))
    found = search(Planted(bend=0.0, target=best_alone), seed, evaluations=8, patience=8)
    torch.testing.assert_close(found.weights, best_alone, atol=1e-3, rtol=0)
    assert 8 < len(tried) < 8 * 4
