"""The reference routers choose; they do not search."""

from types import SimpleNamespace

import pytest
import torch
from mdkif import BadInput, Candidate, Progress
from mdkif.testing import assert_conforms
from mdkif_router_references import Base, Single, Uniform


def objective(base, singles, uniform):
    count = len(singles)
    references = [Candidate(torch.zeros(count), base, "base")]
    references += [Candidate(torch.eye(count)[i], value, f"s{i}") for i, value in enumerate(singles)]
    references.append(Candidate(torch.full((count,), 1 / count), uniform, "uniform"))
    return SimpleNamespace(references=references, space=SimpleNamespace(scale="one"))


def test_references_conform():
    assert_conforms("mdkif-router-references")


@pytest.mark.parametrize("seed", [0, 1])
def test_references_uniform_is_one_kth_however_bad(seed):
    found = Uniform().search(objective(1.0, [2.0, 0.5, 3.0, 4.0], 9.0), seed, Progress())
    assert found.weights.tolist() == [0.25] * 4
    assert found.value == 9.0


@pytest.mark.parametrize(("base", "uniform"), [(5.0, 5.0), (0.1, 5.0), (5.0, 0.1), (0.1, 0.2)])
def test_references_single_is_the_best_skill_alone_even_where_base_or_uniform_is_better(base, uniform):
    found = Single().search(objective(base, [2.0, 0.5, 3.0], uniform), 0, Progress())
    assert found.name == "s1"
    assert found.weights.tolist() == [0.0, 1.0, 0.0]
    assert found.value == 0.5


def test_references_single_may_be_the_skill_that_corresponds_to_the_task():
    found = Single(skill="s2").search(objective(1.0, [2.0, 0.5, 3.0], 1.0), 0, Progress())
    assert (found.name, found.value, found.weights.tolist()) == ("s2", 3.0, [0.0, 0.0, 1.0])
    with pytest.raises(BadInput, match=r"skill cannot be 'uniform': name one of the skills given, s0, s1, s2\."):
        Single(skill="uniform").search(objective(1.0, [2.0, 0.5, 3.0], 1.0), 0, Progress())


def test_references_corresponding_skill_takes_its_best_total_too():
    free = objective(1.0, [2.0, 0.5, 3.0], 1.0)
    free.space.scale = "free"
    free.evaluate_weights = lambda weights: [abs(float(each.sum()) - 2.0) for each in weights]
    assert Single(skill="s2").search(free, 0, Progress()).weights.tolist() == [0.0, 0.0, 2.0]


def test_references_single_is_the_first_of_equal_skills():
    assert Single().search(objective(1.0, [3.0, 2.0, 2.0], 1.0), 0, Progress()).name == "s1"


def test_references_single_takes_the_lowest_for_metrics_come_negated():
    assert Single().search(objective(0.0, [-0.5, -0.9, -0.7], -1.0), 0, Progress()).name == "s1"


def test_references_base_has_no_skill_however_good():
    found = Base().search(objective(5.0, [2.0, 0.5, 3.0], 0.1), 0, Progress())
    assert (found.name, found.value, found.weights.tolist()) == ("base", 5.0, [0.0, 0.0, 0.0])
