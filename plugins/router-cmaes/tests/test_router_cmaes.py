"""CMA-ES on an objective whose best weights are known."""

import mdkif_router_cmaes
import numpy as np
import pytest
import torch
from mdkif import BadInput, Progress, best, starting_points
from mdkif.testing import Bowl, assert_conforms
from mdkif_router_cmaes import CMAES, quiet_numpy, quiet_strategy

TARGET = torch.tensor([0.15, 0.6, 0.25])
NORMS = torch.tensor([0.8, 1.0, 1.2])


class Flat(Bowl):
    """Nothing is ever better than the references."""

    def value(self, weights):
        return 1.0


def bowl(target=TARGET, scale="one", norms=NORMS, examples=0, kind=Bowl):
    return kind(target, norms=norms, scale=scale, examples=examples)


def centre(objective, reference):
    """A reference's parameters without what the weights do not depend on."""
    return objective.space.expand(objective.space.reduce(objective.space.parameters(reference.weights)))


def search(objective, seed=0, **settings):
    return CMAES(**settings).search(objective, seed, Progress())


def test_cma_es_conforms():
    assert_conforms("mdkif-router-cmaes")


@pytest.mark.parametrize(("scale", "target"), [("one", TARGET), ("free", 2 * TARGET)])
def test_cma_es_search_finds_the_best_weights(scale, target):
    objective = bowl(target, scale)
    found = search(objective, evaluations=400, patience=100)
    torch.testing.assert_close(found.weights, target, atol=0.03, rtol=0)
    assert found.value == pytest.approx(objective.value(found.weights), abs=1e-6)
    assert found.value < 0.1 * best(objective.references).value


def test_cma_es_candidate_is_the_best_of_all_that_were_evaluated():
    objective = bowl()
    found = search(objective, evaluations=60)
    evaluated = [
        objective.value(w) for population in objective.populations for w in objective.space.weights(population)
    ]
    assert found.value == pytest.approx(min(evaluated))


@pytest.mark.parametrize(("scale", "size"), [("one", 6), ("free", 7)])
@pytest.mark.parametrize("evaluations", [9, 17, 18, 50])
def test_cma_es_budget_is_kept_in_whole_populations(evaluations, scale, size):
    """The population of a space of two directions, or of three: not of the six or seven parameters."""
    objective = bowl(scale=scale)
    search(objective, evaluations=evaluations, patience=1000)
    assert [len(population) for population in objective.populations] == [size] * (evaluations // size)


def test_cma_es_rungs_compare_fewer_candidates_on_growing_parts_of_the_examples():
    objective = bowl(examples=32)
    found = search(objective, evaluations=9, patience=1000)
    assert objective.rows == [8, 16, 32] * 2, "four whole sets each: 6 / 4 + 3 / 4 + 2 / 2 = 3.25"
    assert [len(population) for population in objective.populations] == [6, 3, 2] * 2
    first, second, third = objective.populations[:3]
    values = [objective.value(weights) for weights in objective.space.weights(first)]
    order = sorted(range(6), key=values.__getitem__)
    assert torch.equal(second, first[order[:3]])
    assert torch.equal(third, first[order[:2]])
    whole = [objective.value(w) for p in objective.populations[2::3] for w in objective.space.weights(p)]
    assert found.value == min([*whole, best(objective.references).value])


class Rows(Bowl):
    """Remembers the rows themselves."""

    def values(self, parameters, rows=None):
        self.chosen = [*getattr(self, "chosen", ()), rows]
        return super().values(parameters, rows)


def test_cma_es_rungs_draw_their_records_anew_for_every_population_and_alike_for_its_candidates():
    drawn = []
    for seed in (0, 0, 1):
        objective = bowl(examples=32, kind=Rows)
        search(objective, seed, evaluations=20, patience=1000)
        drawn.append(objective.chosen)
    first, second = drawn[0][0::3], drawn[0][1::3]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len({tuple(sorted(rows)) for rows in first}) == len(first) > 2, "no two populations on the same records"
    for quarter, half, whole in zip(first, second, drawn[0][2::3], strict=True):
        assert (len(set(quarter)), len(set(half)), whole) == (8, 16, None)
        assert set(quarter) < set(half) < set(range(32)), "the second quarter comes on top: nothing is evaluated twice"


@pytest.fixture
def begun(monkeypatch):
    """The points that strategies were begun at, and the strategy of each population, by its place among them."""
    starts, asked = [], []

    def begin(point, sigma, seed):
        strategy, place = quiet_strategy(point, sigma, seed), len(starts)
        starts.append(point)
        ask = strategy.ask
        strategy.ask = lambda: asked.append(place) or ask()
        return strategy

    monkeypatch.setattr(mdkif_router_cmaes, "quiet_strategy", begin)
    return starts, asked


@pytest.mark.parametrize("scale", ["one", "free", "signed"])
def test_cma_es_search_begins_at_the_best_single_and_at_uniform_and_ends_with_the_better(begun, scale):
    starts, asked = begun
    objective = bowl(torch.tensor([0.1, 0.8, 0.1]), scale=scale)
    size = 6 if scale == "one" else 7
    search(objective, evaluations=12 * size, patience=1000)
    expected = sorted(starting_points(objective), key=lambda start: start.value)
    assert {each.name.split()[0] for each in expected[:1]} == {"skill"}
    points = [objective.space.reduce(objective.space.parameters(each.weights)).tolist() for each in expected]
    assert starts == [pytest.approx(point) for point in points]
    assert asked[:6] == [0, 1, 0, 1, 0, 1]
    assert len(set(asked[6:])) == 1
    starts.clear(), asked.clear()
    search(bowl(scale=scale), evaluations=5 * size, start="best")
    assert (len(starts), asked) == (1, [0] * 5)


def test_cma_es_search_finds_weights_of_either_sign():
    target = torch.tensor([0.9, -0.4, 0.2])
    found = search(bowl(target, "signed"), evaluations=400, patience=100)
    torch.testing.assert_close(found.weights, target, atol=0.03, rtol=0)


@pytest.mark.parametrize(("settings", "examples", "supports_minibatch"), [
    ({"successive_halving": False}, 32, True), ({}, 15, True), ({}, 32, False),
])  # fmt: skip
def test_cma_es_rungs_are_none_unasked_on_few_examples_or_for_a_metric(settings, examples, supports_minibatch):
    objective = bowl(examples=examples)
    objective.supports_minibatch = supports_minibatch
    search(objective, evaluations=18, patience=1000, **settings)
    assert objective.rows == [examples] * 3


def test_cma_es_successive_halving_finds_the_best_weights_for_fewer_evaluations():
    plain, halving = bowl(), bowl(examples=32)
    search(plain, evaluations=120, patience=1000)
    search(halving, evaluations=120, patience=1000)
    assert len(halving.populations) // 3 > 1.5 * len(plain.populations)
    found = search(bowl(examples=32), evaluations=300, patience=1000)
    torch.testing.assert_close(found.weights, TARGET, atol=0.03, rtol=0)


def test_cma_es_one_skill_of_a_fixed_weight_leaves_nothing_to_search():
    objective = bowl(torch.ones(1), norms=torch.ones(1))
    assert search(objective).weights.tolist() == [1.0]
    assert objective.populations == []


def test_cma_es_first_population_has_a_step_towards_the_best_references():
    """Four of six places are theirs. pycma shortens what is injected to a likely length: the direction counts."""
    objective = bowl()
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
def test_cma_es_references_may_be_more_than_a_population_has_places(count, capfd):
    """From 12 skills on; the best of them are the ones it steps towards."""
    objective = bowl(torch.softmax(torch.arange(count) / 2.0, 0), norms=torch.linspace(0.8, 1.2, count))
    found = search(objective, evaluations=200, patience=100)
    assert found.value < best(objective.references).value
    assert capfd.readouterr() == ("", "")
    start, *ways = [
        centre(objective, reference)
        for reference in sorted(objective.references, key=lambda reference: reference.value)
    ]
    way = next(point - start for point in ways if not torch.allclose(point, start, atol=1e-5))
    assert torch.cosine_similarity(objective.populations[0] - start, way[None]).max() > 0.999


def test_cma_es_reference_that_nothing_beats_is_the_result():
    objective = bowl(kind=Flat)
    found = search(objective, evaluations=200, patience=3)
    assert found is objective.references[0]
    assert len(objective.populations) == 6, "patience ends the search from each of two starts"
    once = bowl(kind=Flat)
    search(once, evaluations=200, patience=3, start="best")
    assert len(once.populations) == 3


def test_cma_es_numpys_state_and_the_folder_are_left_alone_also_after_an_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cma_signals.in").write_text("stop_now\n")
    np.random.seed(3)
    expected = np.random.rand()
    np.random.seed(3)
    objective = bowl()
    search(objective, evaluations=30, patience=100)
    assert len(objective.populations) == 5
    with pytest.raises(ZeroDivisionError), quiet_numpy():
        raise ZeroDivisionError(quiet_strategy([0.0, 0.0], 0.5, 0).ask())
    assert np.random.rand() == expected
    assert [path.name for path in tmp_path.iterdir()] == ["cma_signals.in"]


def test_cma_es_budget_below_one_population_is_refused():
    objective = bowl()
    with pytest.raises(BadInput, match="evaluations is 5: CMA-ES needs at least 6, for one population of 6"):
        search(objective, evaluations=5)
    assert objective.populations == []
