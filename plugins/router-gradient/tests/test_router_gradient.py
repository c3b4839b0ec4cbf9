"""Gradient descent on an objective whose best weights are known."""

import pytest
import torch
from mdkif import Candidate, Progress, best
from mdkif.core.routing.weights import WeightParameterization
from mdkif_router_gradient import Gradient, mdkif_routers

TARGET = torch.tensor([0.2, 0.5, 0.3])


class Bowl:
    """The mean over the chosen examples of the squared distance to the target; remembers every call."""

    def __init__(self, count=10, scale="one", target=TARGET):
        self.examples = list(range(count))
        self.target = target
        self.space = WeightParameterization(torch.tensor([0.8, 1.0, 1.2]), scale=scale)
        self.calls, self.valued = [], []
        corners = {"base": torch.zeros(3), **{name: torch.eye(3)[i] for i, name in enumerate("abc")}}
        corners["uniform"] = torch.full((3,), 1 / 3)
        self.references = [Candidate(w, float(self.evaluate_weights(w)), name) for name, w in corners.items()]

    def evaluate_weights(self, weights):
        return (weights - self.target).square().sum(-1)

    def gradient(self, parameters, rows=None):
        self.calls.append(rows)
        leaf = parameters.detach().clone().requires_grad_(True)
        value = self.evaluate_weights(self.space.weights(leaf))
        value.backward()
        return float(value), leaf.grad

    def values(self, parameters):
        self.valued.append(parameters.clone())
        return self.evaluate_weights(self.space.weights(parameters)).tolist()

    def candidate(self, parameters, value):
        return Candidate(self.space.weights(parameters), value)


def search(objective, seed=0, **settings):
    return Gradient(**settings).search(objective, seed, Progress())


def test_plugin_declares_the_router_gradient():
    [declared] = mdkif_routers()
    assert declared.name == "gradient"
    assert declared.load() is Gradient


@pytest.mark.parametrize(("scale", "target"), [("one", TARGET), ("free", 1.7 * TARGET)])
def test_search_finds_the_best_weights(scale, target):
    objective = Bowl(scale=scale, target=target)
    found = search(objective, steps=120, learning_rate=0.1)
    torch.testing.assert_close(found.weights, target, atol=0.02, rtol=0)
    assert found.value < 0.05 * best(objective.references).value


def test_search_starts_from_the_best_reference_and_values_its_end_once():
    objective = Bowl(target=torch.tensor([0.02, 0.9, 0.08]))
    assert best(objective.references).name == "b"
    found = search(objective, steps=1, learning_rate=1e-9)
    [end] = objective.valued
    assert objective.space.weights(end)[0].argmax() == 1
    torch.testing.assert_close(end[0], objective.space.parameters(torch.eye(3)[1]), atol=1e-6, rtol=0)
    assert found.value <= best(objective.references).value


def test_an_end_that_is_worse_than_a_reference_is_not_returned():
    objective = Bowl(target=torch.tensor([0.34, 0.33, 0.33]))
    found = search(objective, steps=1, learning_rate=50.0)
    assert objective.evaluate_weights(objective.space.weights(objective.valued[0]))[0] > 0.1
    assert found.name == "uniform"


@pytest.mark.parametrize(("batch", "count"), [(0, 10), (10, 10), (64, 10)])
def test_a_batch_of_zero_or_all_is_the_whole_set(batch, count):
    objective = Bowl(count)
    search(objective, steps=3, batch=batch)
    assert objective.calls == [None] * 3


def test_mini_batches_are_distinct_rows_drawn_by_the_seed():
    drawn = []
    for seed in (0, 0, 1):
        objective = Bowl(20)
        search(objective, seed, steps=6, batch=4)
        drawn.append(objective.calls)
    assert all(len(set(rows)) == 4 and set(rows) <= set(range(20)) for rows in drawn[0])
    assert len({tuple(rows) for rows in drawn[0]}) > 1
    assert drawn[0] == drawn[1] != drawn[2]


def test_no_example_is_needed_for_no_step():
    objective = Bowl()
    found = search(objective, steps=0)
    assert objective.calls == []
    assert found.value <= best(objective.references).value
