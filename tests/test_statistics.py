"""What several seeds and records can carry: each formula against a computation that shares no code with it."""

import itertools
import math
import random

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from mdkif import BadInput, Evaluator, Prediction
from mdkif.core.evaluation.measured import Measured, measured
from mdkif.core.evaluation.statistics import Difference, Draws, compare, holm, interval, mean_sd, p_value
from mdkif.core.store.documents import read_json
from sklearn.metrics import roc_auc_score
from verbs import evaluate

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=6)


def of_records(values, groups=None):
    """A metric that is the mean of its records' values."""
    each = np.array(values, dtype=float)
    ids = tuple(map(str, range(len(each))))
    return Measured("accuracy", float(each.mean()), ids, tuple(groups or ids), each, (), dict)


def one_seed(values, groups=None):
    return {(0, 0): of_records(values, groups)}


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=9))
def test_mean_and_sd_are_those_of_a_sample(values):
    mean, sd = mean_sd(values)
    assert mean == pytest.approx(np.mean(values))
    assert sd == pytest.approx(np.std(values, ddof=1), abs=1e-9)


def test_sd_of_one_seed_is_not_known():
    assert mean_sd([0.4]) == (0.4, None)


@given(P_VALUES)
def test_holm_is_the_closure_of_bonferroni_over_every_set_of_tasks(values):
    """Marcus, Peritz and Gabriel (1976): a hypothesis falls if every intersection that has it does."""
    names = range(len(values))
    sets = [set(s) for size in range(1, len(values) + 1) for s in itertools.combinations(names, size)]
    closed = {i: max(min(1.0, len(s) * min(values[j] for j in s)) for s in sets if i in s) for i in names}
    found = holm({str(i): value for i, value in enumerate(values)})
    assert {int(name): value for name, value in found.items()} == pytest.approx(closed)


def test_bootstrap_of_a_paired_difference_is_scipys():
    draw = np.random.default_rng(5)
    first, second = draw.random(60), draw.random(60)
    found = compare({"task": (one_seed(first), one_seed(second))}, count=9000)["task"]
    peer = scipy.stats.bootstrap((first, second), lambda a, b, axis: (a - b).mean(axis), paired=True, vectorized=True,
                                 method="percentile", n_resamples=9000, rng=np.random.default_rng(1))  # fmt: skip
    assert found.value == pytest.approx(float((first - second).mean()))
    assert (found.low, found.high) == pytest.approx(peer.confidence_interval, abs=0.01)


def test_bootstrap_of_four_records_has_the_shares_of_all_256_draws():
    values = (0.0, 0.1, 0.5, 1.0)
    draws = Draws(((0, 0),), tuple("abcd"), count=20000).means(one_seed(values, "abcd"))
    exact = [sum(drawn) / 4 for drawn in itertools.product(values, repeat=4)]
    for edge in (0.1625, 0.3125, 0.4625, 0.6125):
        assert (draws <= edge).mean() == pytest.approx(np.mean([each <= edge for each in exact]), abs=0.02)


def test_bootstrap_draws_whole_groups():
    """Ten patients with eight equal notes each are ten observations, not eighty."""
    patients = np.random.default_rng(2).random(10)
    notes, groups = np.repeat(patients, 8), [f"p{i}" for i in range(10) for _ in range(8)]
    draws = Draws(((0, 0),), tuple(groups), count=20000).means(one_seed(notes, groups))
    assert draws.var() == pytest.approx(patients.var() / 10, rel=0.05)


def test_bootstrap_nests_adaptation_seeds_in_skill_seeds():
    """The variance of a two-stage draw: of the skills' means, and of what is drawn within each of them."""
    table = np.array([[0.2, 0.5, 0.8], [0.9, 0.7, 0.8]])
    seeds = {(s, a): of_records([table[s, a]] * 4) for s in range(2) for a in range(3)}
    draws = Draws(tuple(seeds), tuple("abcd"), count=40000).means(seeds)
    exact = (table.mean(1).var() + table.var(1).mean() / 3) / 2
    assert draws.mean() == pytest.approx(table.mean(), abs=0.005)
    assert draws.var() == pytest.approx(exact, rel=0.03)


def test_bootstrap_more_seeds_do_not_take_away_the_error_of_few_records():
    values = np.random.default_rng(3).random(30)
    many = {(s, a): of_records(values) for s in range(5) for a in range(5)}
    draws = Draws(tuple(many), tuple(map(str, range(30))), count=8000).means(many)
    assert draws.var() == pytest.approx(values.var() / 30, rel=0.06)


def test_bootstrap_of_a_ranking_is_the_evaluators_own_over_the_records_drawn(plugins):
    draw = random.Random(4)
    gold = [draw.random() < 0.4 for _ in range(40)]
    scores = [round(draw.gauss(right, 1), 5) for right in gold]
    rows = [{"id": str(i), "gold": [int(not right)], "scores": [score, 0.0], "labels": []}
            for i, (right, score) in enumerate(zip(gold, scores, strict=True))]  # fmt: skip
    auroc = roc_auc_score(gold, scores)
    report = {"task": "t", "with": "base", "metrics": {"auroc": auroc}, "records": rows}
    made = measured(report, "auroc", plugins.get(Evaluator, "classification").load())
    assert made.each is None
    times = Draws(((0, 0),), made.groups, count=25).of_records
    chosen = [np.repeat(np.arange(40), row) for row in times]
    peer = [roc_auc_score(np.array(gold)[rows], np.array(scores)[rows]) for rows in chosen]
    assert made.over(times) == pytest.approx(peer)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 99), st.integers(1, 3))
def test_bootstrap_of_a_method_against_itself_shows_nothing(seed, seeds):
    values = np.random.default_rng(seed).random(20)
    same = {(s, 0): of_records(values + s) for s in range(seeds)}
    found = compare({"a": (same, same)}, count=200)["a"]
    assert (found.value, found.low, found.high, found.p, found.shown) == (0, 0, 0, 1, False)


def test_p_value_is_where_the_interval_begins_to_hold_zero():
    draws = np.random.default_rng(6).normal(0.2, 0.1, 4000)
    p = p_value(draws)
    assert interval(draws, 1 - 1.2 * p)[0] > 0 > interval(draws, 1 - 0.8 * p)[0]


def test_interval_leaves_out_draws_in_which_nothing_was_defined():
    assert interval(np.array([np.nan, 1.0, 1.0])) == (1, 1)
    assert interval(np.array([np.nan])) == (-math.inf, math.inf)


def sure(gap, n=200, seed=0):
    """A pair of methods with a difference of `gap` in the mean, and noise."""
    noise = np.random.default_rng(seed).normal(0, 1, n)
    return one_seed(gap + noise), one_seed(np.zeros(n))


def test_compare_is_stricter_where_more_tasks_are_asked():
    """One difference that holds alone no longer does as one of twelve."""
    alone = compare({"a": sure(0.17)})["a"]
    among = compare({"a": sure(0.17), **{str(i): sure(0, seed=i) for i in range(1, 12)}})["a"]
    assert alone.shown
    assert not among.shown
    assert among.adjusted >= 11 * alone.p
    assert among.low < alone.low


def test_compare_a_strong_difference_frees_the_next_as_holm_says():
    """With two tasks the smaller p is held to 2.5 %, and after it fell the other to 5 %."""
    found = compare({"strong": sure(3), "weak": sure(0.17)})
    assert found["weak"].low == pytest.approx(compare({"weak": sure(0.17)})["weak"].low)


def test_compare_says_plainly_that_n_is_too_small():
    few = compare({"a": (one_seed([1, 1, 1, 1]), one_seed([0, 0, 0, 0]))})["a"]
    assert (few.low, few.shown) == (1, False)
    assert "n is too small for this claim: 4 groups of records can show nothing" in str(few)
    unclear = compare({"a": sure(0.02, 50)})["a"]
    assert "n is too small for this claim: 50 groups of records, and about" in str(unclear)


def test_compare_the_number_of_records_asked_for_would_do():
    told = str(compare({"a": sure(0.05, 100, seed=3)})["a"])
    wanted = int(told.rpartition("about ")[2].split()[0])
    low, high = compare({"a": sure(0.05, 100, seed=3)})["a"].low, compare({"a": sure(0.05, 100, seed=3)})["a"].high
    value = compare({"a": sure(0.05, 100, seed=3)})["a"].value
    assert (high - low) / 2 * math.sqrt(100 / wanted) <= abs(value) < (high - low) / 2


def test_compare_refuses_methods_of_other_records_or_seeds():
    for other in ({(0, 0): of_records([1, 0, 1])}, {(1, 0): of_records([1, 0])}):
        with pytest.raises(BadInput, match="not measured with the same seeds on the same records"):
            compare({"a": (one_seed([1, 0]), other)})


def test_difference_that_is_shown_is_told_without_excuse():
    told = Difference(value=0.1, low=0.05, high=0.2, p=0.01, adjusted=0.02, groups=90, seeds=(3, 9), too_small=False)
    assert str(told) == "+0.100 [+0.050, +0.200], p 0.020"


@pytest.mark.parametrize("metric", ["accuracy", "log_loss", "macro_f1", "auroc"])
def test_measured_gives_back_what_an_evaluation_reported(ready, pubmedqa, plugins, metric):
    [done] = evaluate(ready, "pubmedqa", {"pubmedqa": pubmedqa}, ["skill:qa"], overlap="keep")
    report = read_json(done.report, "report")
    made = measured(report, metric, plugins.get(Evaluator, "classification").load())
    assert made.value == done.metrics[metric]
    assert (made.each is not None) == (metric in ("accuracy", "log_loss"))
    assert made.over(np.ones((1, 20), dtype=int)) == pytest.approx([done.metrics[metric]], abs=1e-4)
    assert [row["group"] for row in report["records"]] == list(range(20))


def test_measured_means_of_generated_text_can_be_drawn_and_others_are_refused(plugins):
    rows = [{"id": str(i), "gold": [], "scores": [], "labels": [], "alone": {"exact_match": i % 2, "f1": 0.3}}
            for i in range(4)]  # fmt: skip
    report = {"task": "cliner", "with": "base", "metrics": {"exact_match": 0.5, "f1": 0.4}, "records": rows}
    made = measured(report, "exact_match", plugins.get(Evaluator, "entities").load())
    assert made.over(np.array([[0, 1, 0, 1]])) == [1]
    with pytest.raises(BadInput, match=r"'f1' of 'cliner' cannot be computed again.*exact_match"):
        measured(report, "f1", plugins.get(Evaluator, "entities").load())
    with pytest.raises(BadInput, match="has no metric 'rouge1': it has exact_match, f1"):
        measured(report, "rouge1", plugins.get(Evaluator, "entities").load())


def test_measured_options_in_another_order_in_each_record_are_not_taken_for_the_same(plugins):
    """By number they look alike: a metric over the labels would be another one."""
    classification = plugins.get(Evaluator, "classification").load()
    draw = random.Random(8)
    predictions, rows = [], []
    for i in range(30):
        options = draw.sample(("yes", "no", "maybe"), 3)
        scores = tuple(round(draw.gauss(0, 1), 5) for _ in options)
        gold = draw.randrange(3)
        predictions.append(Prediction(id=str(i), gold=(options[gold],), answer=options[gold], options=tuple(options),
                                      scores=scores))  # fmt: skip
        rows.append({"id": str(i), "gold": [gold], "scores": scores, "labels": []})
    report = {"task": "t", "with": "base", "metrics": classification(predictions), "records": rows}
    assert measured(report, "accuracy", classification).each is not None
    with pytest.raises(BadInput, match="cannot be computed again"):
        measured(report, "auroc", classification)
