"""CMA-ES on an objective whose best weights are known."""

import numpy as np
import pytest
import torch
from mdkif import BadInput, Candidate, Progress, best
from mdkif.core.routing.weights import WeightParameterization
from mdkif_router_cmaes import CMAES, mdkif_routers, quiet_strategy

TARGET = torch.tensor([0.15, 0.6, 0.25])
NORMS = torch.tensor([0.8, 1.0, 1.2])


class Bowl:
    """The squared distance of the weights to `target`; remembers every population and on which rows it ran."""

    supports_minibatch = True

    def __init__(self, target=TARGET, scale="one", norms=NORMS, examples=()):
        self.target, count = target, len(norms)
        self.space = WeightParameterization(norms, scale=scale)
        self.examples = examples
        self.populations, self.rows = [], []
        corners = {"base": torch.zeros(count), **{f"skill {i}": torch.eye(count)[i] for i in range(count)}}
        corners["uniform"] = torch.full((count,), 1 / count)
        self.references = [Candidate(w, self.evaluate_weights(w), name) for name, w in corners.items()]

    def evaluate_weights(self, weights):
        return float((weights - self.target).square().sum())

    def values(self, parameters, rows=None):
        self.populations.append(parameters)
        self.rows.append(len(self.examples) if rows is None else len(rows))
        return [self.evaluate_weights(weights) for weights in self.space.weights(parameters)]

    def candidate(self, parameters, value):
        return Candidate(self.space.weights(parameters), value)


class Flat(Bowl):
    """Nothing is ever better than the references."""

    def evaluate_weights(self, weights):
        return 1.0


def centre(objective, reference):
    """A reference's parameters without what the weights do not depend on."""
    return objective.space.expand(objective.space.reduce(objective.space.parameters(reference.weights)))


def search(objective, seed=0, **settings):
    return CMAES(**settings).search(objective, seed, Progress())


def test_plugin_declares_the_router_cma_es():
    [declared] = mdkif_routers()
    assert declared.name == "cma-es"
    assert declared.load() is CMAES


@pytest.mark.parametrize(("scale", "target"), [("one", TARGET), ("free", 2 * TARGET)])
def test_search_finds_the_best_weights(scale, target):
    objective = Bowl(target, scale)
    found = search(objective, evaluations=400, patience=100)
    torch.testing.assert_close(found.weights, target, atol=0.03, rtol=0)
    assert found.value == pytest.approx(objective.evaluate_weights(found.weights), abs=1e-6)
    assert found.value < 0.1 * best(objective.references).value


def test_its_candidate_is_the_best_of_all_it_evaluated():
    objective = Bowl()
    found = search(objective, evaluations=60)
    evaluated = [
        objective.evaluate_weights(w)
        for population in objective.populations
        for w in objective.space.weights(population)
    ]
    assert found.value == pytest.approx(min(evaluated))


@pytest.mark.parametrize(("scale", "size"), [("one", 6), ("free", 7)])
@pytest.mark.parametrize("evaluations", [9, 17, 18, 50])
def test_the_budget_is_kept_in_whole_populations(evaluations, scale, size):
    """The population of a space of two directions, or of three: not of the six or seven parameters."""
    objective = Bowl(scale=scale)
    search(objective, evaluations=evaluations, patience=1000)
    assert [len(population) for population in objective.populations] == [size] * (evaluations // size)


def test_rungs_compare_fewer_candidates_on_growing_parts_of_the_examples():
    objective = Bowl(examples=range(32))
    found = search(objective, evaluations=9, patience=1000)
    assert objective.rows == [8, 16, 32] * 2, "four whole sets each: 6 / 4 + 3 / 4 + 2 / 2 = 3.25"
    assert [len(population) for population in objective.populations] == [6, 3, 2] * 2
    first, second, third = objective.populations[:3]
    values = [objective.evaluate_weights(weights) for weights in objective.space.weights(first)]
    order = sorted(range(6), key=values.__getitem__)
    assert torch.equal(second, first[order[:3]])
    assert torch.equal(third, first[order[:2]])
    whole = [objective.evaluate_weights(w) for p in objective.populations[2::3] for w in objective.space.weights(p)]
    assert found.value == min([*whole, best(objective.references).value])


@pytest.mark.parametrize(("settings", "examples", "supports_minibatch"), [
    ({"successive_halving": False}, range(32), True), ({}, range(15), True), ({}, range(32), False),
])  # fmt: skip
def test_rungs_are_none_unasked_on_few_examples_or_for_a_metric(settings, examples, supports_minibatch):
    objective = Bowl(examples=examples)
    objective.supports_minibatch = supports_minibatch
    search(objective, evaluations=18, patience=1000, **settings)
    assert objective.rows == [len(examples)] * 3


def test_successive_halving_finds_the_best_weights_for_fewer_evaluations():
    plain, halving = Bowl(), Bowl(examples=range(32))
    search(plain, evaluations=120, patience=1000)
    search(halving, evaluations=120, patience=1000)
    assert len(halving.populations) // 3 > 1.5 * len(plain.populations)
    found = search(Bowl(examples=range(32)), evaluations=300, patience=1000)
    torch.testing.assert_close(found.weights, TARGET, atol=0.03, rtol=0)


def test_one_skill_of_a_fixed_weight_leaves_nothing_to_search():
    objective = Bowl(torch.ones(1), norms=torch.ones(1))
    assert search(objective).weights.tolist() == [1.0]
    assert objective.populations == []


def test_the_first_population_has_a_step_towards_the_best_references():
    """Four of six places are theirs. pycma shortens what is injected to a likely length: the direction counts."""
    objective = Bowl()
    search(objective, evaluations=6)
    [population] = objective.populations
    start = centre(objective, best(objective.references))
    ranked = sorted(objective.references, key=lambda reference: reference.value)
    assert ranked[0].name == "uniform"
    for reference in ranked[1:4]:
        way = centre(objective, reference) - start
        if way.norm() > 0:
            alike = torch.cosine_similarity(population - start, way[None])
            assert alike.max() > 0.999, f"no step towards {reference.name}"


@pytest.mark.parametrize("count", [11, 12, 20])
def test_more_references_than_a_population_has_places(count, capfd):
    """From 12 skills on; the best of them are the ones it steps towards."""
    objective = Bowl(torch.softmax(torch.arange(count) / 2.0, 0), norms=torch.linspace(0.8, 1.2, count))
    found = search(objective, evaluations=200, patience=100)
    assert found.value < best(objective.references).value
    assert capfd.readouterr() == ("", "")
    start, *ways = [
        centre(objective, reference)
        for reference in sorted(objective.references, key=lambda reference: reference.value)
    ]
    way = next(point - start for point in ways if not torch.allclose(point, start, atol=1e-5))
    assert torch.cosine_similarity(objective.populations[0] - start, way[None]).max() > 0.999


def test_a_reference_that_nothing_beats_is_the_result():
    objective = Flat()
    found = search(objective, evaluations=200, patience=3)
    assert found is objective.references[0]
    assert len(objective.populations) == 3, "patience ends the search"


def test_a_seed_repeats_the_search_whatever_numpys_state():
    runs = []
    for seed, state in ((0, 1), (0, 2), (1, 1)):
        np.random.seed(state)
        objective = Bowl()
        runs.append((search(objective, seed, evaluations=27), torch.stack(objective.populations)))
    assert torch.equal(runs[0][1], runs[1][1])
    assert torch.equal(runs[0][0].weights, runs[1][0].weights)
    assert not torch.equal(runs[0][1], runs[2][1])


def test_numpys_state_and_the_folder_are_left_alone_also_after_an_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cma_signals.in").write_text("stop_now\n")
    np.random.seed(3)
    expected = np.random.rand()
    np.random.seed(3)
    objective = Bowl()
    search(objective, evaluations=30, patience=100)
    assert len(objective.populations) == 5
    with pytest.raises(ZeroDivisionError), quiet_strategy([0.0, 0.0], 0.5, 0) as strategy:
        raise ZeroDivisionError(strategy.ask())
    assert np.random.rand() == expected
    assert [path.name for path in tmp_path.iterdir()] == ["cma_signals.in"]


def test_a_budget_below_one_population_is_refused():
    objective = Bowl()
    with pytest.raises(BadInput, match="evaluations is 5: CMA-ES needs at least 6, for one population of 6"):
        search(objective, evaluations=5)
    assert objective.populations == []
