"""Gradient descent on an objective whose best weights are known."""

import pytest
import torch
from mdkif import Progress, best
from mdkif.testing import Bowl, assert_conforms
from mdkif_router_gradient import Gradient

TARGET = torch.tensor([0.2, 0.5, 0.3])


def search(objective, seed=0, **settings):
    return Gradient(**settings).search(objective, seed, Progress())


def bowl(target=TARGET, scale="one", examples=10):
    return Bowl(target, norms=torch.tensor([0.8, 1.0, 1.2]), scale=scale, examples=examples)


def test_gradient_conforms():
    assert_conforms("mdkif-router-gradient")


@pytest.mark.parametrize(("scale", "target"), [("one", TARGET), ("free", 1.7 * TARGET)])
def test_gradient_descent_finds_the_best_weights(scale, target):
    objective = bowl(target, scale)
    found = search(objective, steps=120, learning_rate=0.1)
    torch.testing.assert_close(found.weights, target, atol=0.02, rtol=0)
    assert found.value < 0.05 * best(objective.references).value


def test_gradient_descent_starts_from_the_best_single_and_from_uniform_and_values_each_end_once():
    objective = bowl(torch.tensor([0.02, 0.9, 0.08]))
    assert best(objective.references).name == "skill 1"
    found = search(objective, steps=1, learning_rate=1e-9)
    for end, start in zip(objective.populations, (torch.eye(3)[1], torch.full((3,), 1 / 3)), strict=True):
        torch.testing.assert_close(end[0], objective.space.parameters(start), atol=1e-6, rtol=0)
    assert found.value <= best(objective.references).value
    once = bowl(torch.tensor([0.02, 0.9, 0.08]))
    search(once, steps=1, learning_rate=1e-9, start="best")
    assert len(once.populations) == 1


class Path(Bowl):
    """Remembers the points of all gradients."""

    def gradient(self, parameters, rows=None):
        self.path = [*getattr(self, "path", ()), parameters.detach().clone()]
        return super().gradient(parameters, rows)


def test_gradient_best_point_is_returned_and_not_the_last():
    """Steps of this length go past the minimum and away again."""
    objective = Path(TARGET, norms=torch.tensor([0.8, 1.0, 1.2]), examples=10)
    found = search(objective, steps=3, learning_rate=2.0)
    ends = [population[0] for population in objective.populations]
    values = [objective.value(objective.space.weights(point)) for point in (*objective.path, *ends)]
    assert found.value == pytest.approx(min([*values, best(objective.references).value]), abs=1e-6)
    assert found.value == pytest.approx(objective.value(found.weights), abs=1e-6)
    assert not any(torch.allclose(found.weights, objective.space.weights(end)) for end in ends)


@pytest.mark.parametrize(("every", "evaluated"), [(2, 3), (5, 2), (0, 1), (6, 1)])
def test_gradient_points_on_mini_batches_are_evaluated_on_all_every_few_steps_and_at_the_end(every, evaluated):
    objective = bowl(examples=20)
    search(objective, steps=6, batch=4, every=every, start="best")
    assert objective.rows == [20] * evaluated


@pytest.mark.parametrize("target", [[0.9, -0.4, 0.2], [0.3, 1.2, 0.4]])
def test_gradient_descent_finds_weights_of_either_sign(target):
    found = search(bowl(torch.tensor(target), "signed"), steps=150, learning_rate=0.1)
    torch.testing.assert_close(found.weights, torch.tensor(target), atol=0.02, rtol=0)


def test_gradient_end_that_is_worse_than_a_reference_is_not_returned():
    objective = bowl(torch.tensor([0.34, 0.33, 0.33]))
    found = search(objective, steps=1, learning_rate=50.0)
    assert objective.value(objective.space.weights(objective.populations[0])[0]) > 0.1
    assert found.name == "uniform"


@pytest.mark.parametrize(("batch", "count"), [(0, 10), (10, 10), (64, 10)])
def test_gradient_batch_of_zero_or_all_is_the_whole_set(batch, count):
    objective = bowl(examples=count)
    search(objective, steps=3, batch=batch)
    assert objective.batches == [None] * 6


def test_gradient_mini_batches_are_distinct_rows_drawn_by_the_seed():
    drawn = []
    for seed in (0, 0, 1):
        objective = bowl(examples=20)
        search(objective, seed, steps=6, batch=4)
        drawn.append(objective.batches)
    assert all(len(set(rows)) == 4 and set(rows) <= set(range(20)) for rows in drawn[0])
    assert len({tuple(rows) for rows in drawn[0]}) > 1
    assert drawn[0] == drawn[1] != drawn[2]


def test_gradient_no_step_needs_no_example():
    objective = bowl()
    found = search(objective, steps=0)
    assert objective.batches == []
    assert found.value <= best(objective.references).value


def test_gradient_first_step_in_signed_weights_is_a_tenth_by_default():
    """Adam's first step is as long as its rate in every direction that has a slope."""
    objective = Path(torch.tensor([0.9, -0.4, 0.2]), norms=torch.ones(3), scale="signed", examples=10)
    search(objective, steps=2, start="best")
    first, second = map(objective.space.weights, objective.path)
    torch.testing.assert_close((second - first).abs(), torch.full((3,), 0.1), atol=1e-4, rtol=0)
    assert (Gradient().steps, Gradient().batch) == (24, 16)
