"""Every metric against an independent computation: by hand, by counting pairs, and for random predictions."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from mdkif import BadInput, Likelihoods, MdkifError, Prediction
from mdkif.testing import assert_conforms
from mdkif_evaluator_classification import METRICS, evaluate

YES_NO = ("no", "yes")
quick = settings(deadline=None, max_examples=50)


def predicted(
    gold: Sequence[str],
    scores: Sequence[float],
    options: Sequence[str] = YES_NO,
    multi_label: bool = False,
    name: str = "r",
) -> Prediction:
    return Prediction(
        id=name,
        gold=tuple(gold),
        answer="; ".join(gold) or "none",
        options=tuple(options),
        scores=tuple(scores),
        multi_label=multi_label,
    )


def pair_auroc(marks: Sequence[bool], scores: Sequence[float]) -> float:
    """The share of (right, wrong) pairs that are ordered as they should be, ties counting half."""
    right = [s for m, s in zip(marks, scores, strict=True) if m]
    wrong = [s for m, s in zip(marks, scores, strict=True) if not m]
    return sum((r > w) + 0.5 * (r == w) for r in right for w in wrong) / (len(right) * len(wrong))


def pair_f1(gold: Sequence[set[str]], found: Sequence[set[str]], name: str) -> float | None:
    hits = sum(name in g and name in f for g, f in zip(gold, found, strict=True))
    marked = sum((name in g) + (name in f) for g, f in zip(gold, found, strict=True))
    return 2 * hits / marked if marked else None


def others(prediction: Prediction, column: int) -> list[float]:
    return [score for i, score in enumerate(prediction.scores) if i != column]


finite = st.floats(-30, 30).map(lambda x: round(x, 2))
OPTIONS = ("a", "b", "c")


@st.composite
def single(draw: st.DrawFn, options: Sequence[str] = OPTIONS) -> list[Prediction]:
    rows = draw(
        st.lists(
            st.tuples(st.sampled_from(options), st.lists(finite, min_size=len(options), max_size=len(options))),
            min_size=1,
            max_size=12,
        )
    )
    return [predicted([gold], scores, options, name=str(i)) for i, (gold, scores) in enumerate(rows)]


@st.composite
def several(draw: st.DrawFn) -> list[Prediction]:
    rows = draw(
        st.lists(
            st.tuples(st.sets(st.sampled_from(OPTIONS)), st.lists(finite, min_size=3, max_size=3)),
            min_size=1,
            max_size=12,
        )
    )
    return [predicted(sorted(g), s, OPTIONS, multi_label=True, name=str(i)) for i, (g, s) in enumerate(rows)]


def test_classification_metrics_conform() -> None:
    assert_conforms("mdkif-evaluator-classification")


def test_classification_only_log_loss_is_better_low() -> None:
    assert [name for name, higher in METRICS.items() if not higher] == ["log_loss"]


def test_classification_four_records_by_hand() -> None:
    found = evaluate(
        [
            predicted(["yes"], [0.0, 2.0]),  # right
            predicted(["yes"], [1.0, 0.0]),  # wrong
            predicted(["no"], [3.0, 0.0]),  # right
            predicted(["no"], [0.5, 0.0]),  # right
        ]
    )
    assert found["n"] == 4
    assert found["accuracy"] == 0.75
    # yes: 1 of 1 marked, 1 of 2 found -> 2/3; no: 2 of 3 marked, 2 of 2 found -> 4/5
    assert found["macro_f1"] == pytest.approx((2 / 3 + 4 / 5) / 2)
    # differences 2, -1 against -3, -0.5: three of four pairs in order
    assert found["auroc"] == pytest.approx(0.75)
    losses = [
        math.log(1 + math.exp(-2)),
        math.log(1 + math.e),
        math.log(1 + math.exp(-3)),
        math.log(1 + math.exp(-0.5)),
    ]
    assert found["log_loss"] == pytest.approx(sum(losses) / 4)
    assert found["auroc_undefined"] == found["f1_undefined"] == 0
    assert "micro_f1" not in found  # with one label a record it would only repeat the accuracy


def test_classification_auroc_of_two_options_does_not_saturate_where_probabilities_do() -> None:
    """exp(-800) is zero in double precision, so that probabilities of these would tie."""
    found = evaluate([predicted(["yes"], [-900.0, 0.0]), predicted(["no"], [-800.0, 0.0])])
    assert found["auroc"] == 1.0
    assert math.isfinite(found["log_loss"])


@quick
@given(single(YES_NO))
def test_classification_binary_auroc_counts_pairs_of_score_differences(predictions: list[Prediction]) -> None:
    marks = [p.gold == ("yes",) for p in predictions]
    found = evaluate(predictions)
    if len(set(marks)) == 2:
        assert found["auroc"] == pytest.approx(pair_auroc(marks, [p.scores[1] - p.scores[0] for p in predictions]))
    else:
        assert "auroc" not in found
        assert found["auroc_undefined"] == 2


@quick
@given(single())
def test_classification_macro_auroc_and_f1_of_three_options_count_pairs(predictions: list[Prediction]) -> None:
    found = evaluate(predictions)
    each = []
    for column, name in enumerate(OPTIONS):
        marks = [p.gold == (name,) for p in predictions]
        odds = [p.scores[column] - math.log(sum(map(math.exp, others(p, column)))) for p in predictions]
        for (one, a), (two, b) in combinations(zip(predictions, odds, strict=True), 2):
            assume(one.scores == two.scores or abs(a - b) > 1e-9)  # what ties must not depend on rounding
        if len(set(marks)) == 2:
            each.append(pair_auroc(marks, odds))
    assert found["auroc_undefined"] == len(OPTIONS) - len(each)
    if each:
        assert found["auroc"] == pytest.approx(sum(each) / len(each))
    guesses = [{OPTIONS[p.scores.index(max(p.scores))]} for p in predictions]
    scores = [pair_f1([set(p.gold) for p in predictions], guesses, name) for name in OPTIONS]
    defined = [score for score in scores if score is not None]
    assert found["macro_f1"] == pytest.approx(sum(defined) / len(defined))
    assert found["f1_undefined"] == len(OPTIONS) - len(defined)


@quick
@given(several())
def test_classification_multi_label_metrics_count_pairs(predictions: list[Prediction]) -> None:
    found = evaluate(predictions)
    assert "accuracy" not in found
    assert "log_loss" not in found
    each = []
    for column, name in enumerate(OPTIONS):
        marks = [name in p.gold for p in predictions]
        if len(set(marks)) == 2:
            each.append(pair_auroc(marks, [p.scores[column] for p in predictions]))
    assert found["auroc_undefined"] == len(OPTIONS) - len(each)
    if each:
        assert found["auroc"] == pytest.approx(sum(each) / len(each))
    marks = [name in p.gold for p in predictions for name in OPTIONS]
    flat = [score for p in predictions for score in p.scores]
    if len(set(marks)) == 2:
        assert found["micro_auroc"] == pytest.approx(pair_auroc(marks, flat))
    else:
        assert "micro_auroc" not in found


@quick
@given(st.one_of(single(), several()), st.randoms())
def test_classification_metrics_are_bounded_finite_and_blind_to_order(
    predictions: list[Prediction], rng: random.Random
) -> None:
    found = evaluate(predictions)
    for name, value in found.items():
        assert math.isfinite(value)
        assert value >= 0
        if name in METRICS and name != "log_loss":
            assert value <= 1
    shuffled = rng.sample(predictions, len(predictions))
    assert evaluate(shuffled) == found


@quick
@given(single(), st.permutations(range(3)))
def test_classification_order_of_the_options_does_not_matter(predictions: list[Prediction], order: list[int]) -> None:
    unique = [p for p in predictions if len(set(p.scores)) == 3]  # a tie goes to the option listed first
    turned = [
        predicted(p.gold, [p.scores[i] for i in order], [OPTIONS[i] for i in order], name=p.id) if n % 2 else p
        for n, p in enumerate(unique)
    ]
    assert evaluate(turned) == pytest.approx(evaluate(unique))


@quick
@given(single(), st.floats(-5, 5))
def test_classification_constant_added_to_a_record_changes_nothing(predictions: list[Prediction], shift: float) -> None:
    """Only differences inside a record matter where one label is right."""
    shift = round(shift, 2)
    moved = [predicted(p.gold, [s + shift for s in p.scores], p.options, name=p.id) for p in predictions]
    before, after = evaluate(predictions), evaluate(moved)
    assert after["log_loss"] == pytest.approx(before["log_loss"], abs=1e-9)


TWO = [
    predicted(["a", "b"], [0.9, 0.7, 0.1], OPTIONS, multi_label=True),
    predicted(["b"], [0.2, 0.3, 0.8], OPTIONS, multi_label=True),
]


def test_classification_oracle_f1_of_several_labels_is_taken_at_the_break_even_point_of_what_is_tested() -> None:
    """Three pairs are right, so the three highest scores are marked: 0.9 (a), 0.8 (c) and 0.7 (b)."""
    found = evaluate(TWO)
    assert found["oracle_micro_f1"] == pytest.approx(2 / 3)
    assert found["oracle_macro_f1"] == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert not {"micro_f1", "macro_f1"} & set(found)


def test_classification_f1_of_several_labels_is_taken_at_the_threshold_of_the_calibration() -> None:
    """Of its six pairs two are right, so the second highest score, 0.85, is the threshold: 0.9 alone is marked."""
    calibration = [
        predicted(["c"], [0.85, 0.1, 0.95], OPTIONS, multi_label=True),
        predicted(["a"], [0.5, 0.2, 0.3], OPTIONS, multi_label=True),
    ]
    found = evaluate(TWO, calibration)
    assert found["micro_f1"] == pytest.approx(2 * 1 / (3 + 1))
    assert found["macro_f1"] == pytest.approx((1 + 0) / 2)  # "c" is neither right nor marked
    assert found["f1_undefined"] == 1
    assert found["oracle_micro_f1"] == evaluate(TWO)["oracle_micro_f1"]


def test_classification_calibration_in_which_nothing_is_right_marks_nothing() -> None:
    found = evaluate(TWO, [predicted([], [0.1, 0.2, 0.3], OPTIONS, multi_label=True)])
    assert found["micro_f1"] == 0.0


def test_classification_calibration_of_other_options_or_without_scores_is_passed_over() -> None:
    other = [predicted(["x"], [1.0, 0.0], ("x", "y"), multi_label=True), extracted(["a"], ["a"], OPTIONS, True)]
    assert evaluate(TWO, other) == evaluate(TWO)


@quick
@given(several(), several())
def test_classification_oracle_is_the_calibration_by_what_is_tested(
    predictions: list[Prediction], others: list[Prediction]
) -> None:
    found, own = evaluate(predictions, others), evaluate(predictions, predictions)
    assert {name: value for name, value in found.items() if "oracle" in name or "auroc" in name} == {
        name: value for name, value in own.items() if "oracle" in name or "auroc" in name
    }
    assert own["oracle_micro_f1"] == own["micro_f1"] if "oracle_micro_f1" in own else "micro_f1" not in own
    gold, flat = [set(p.gold) for p in others], sorted((s for p in others for s in p.scores), reverse=True)
    count = sum(map(len, gold))
    edge = flat[count - 1] if count else math.inf
    marked = [{name for name, s in zip(p.options, p.scores, strict=True) if s >= edge} for p in predictions]
    hits = sum(len(m & set(p.gold)) for m, p in zip(marked, predictions, strict=True))
    total = sum(len(m) + len(p.gold) for m, p in zip(marked, predictions, strict=True))
    assert found.get("micro_f1") == (pytest.approx(2 * hits / total) if total else None)


def likelier(prediction: Prediction, sums: Sequence[float], bare: Sequence[float]) -> Prediction:
    likelihoods = Likelihoods(sums=tuple(sums), tokens=(1, 1, 1), characters=(1, 1, 1), unconditional=tuple(bare))
    return replace(prediction, likelihoods=likelihoods)


def test_classification_pmi_ranks_labels_that_a_softmax_makes_compete() -> None:
    """Both labels of the first record are likelier than without it; by a softmax they share, and the second's wins."""
    bare = [-1.0, -2.0, -9.0]
    rows = [(["a", "b"], [-0.5, -0.5, -9.0]), ([], [-1.0, -4.0, -9.5])]
    predictions = []
    for gold, sums in rows:
        total = math.log(sum(map(math.exp, sums)))
        predictions.append(likelier(predicted(gold, [s - total for s in sums], OPTIONS, multi_label=True), sums, bare))
    found = evaluate(predictions, predictions)
    assert found["auroc"] == 0.5  # of "a" the second record's share is larger, of "b" the first's
    assert found["pmi_auroc"] == 1.0
    assert found["pmi_micro_f1"] == 1.0
    assert not [name for name in evaluate(TWO, TWO) if name.startswith("pmi_")]


def test_classification_one_multi_label_record_makes_them_all_multi_label() -> None:
    """A record of a multi-label task may have exactly one label."""
    found = evaluate([predicted(["yes"], [0, 1]), predicted([], [1, 0], multi_label=True)])
    assert "accuracy" not in found
    assert "oracle_micro_f1" in found


def test_classification_labels_of_one_class_are_left_out_and_counted() -> None:
    found = evaluate(
        [
            predicted(["a", "c"], [3, 1, 2], OPTIONS, multi_label=True),
            predicted(["c"], [1, 0, 2], OPTIONS, multi_label=True),
        ]
    )
    assert found["auroc"] == 1.0  # of "a" alone: "b" is never right, "c" always
    assert found["auroc_undefined"] == 2
    assert "f1_undefined" not in found  # without records to set a threshold by


def test_classification_without_any_right_label_ranking_metrics_are_not_reported() -> None:
    found = evaluate([predicted([], [1, 0], multi_label=True), predicted([], [0, 1], multi_label=True)])
    assert found == {"n": 2, "auroc_undefined": 2}


def test_classification_options_of_their_own_leave_accuracy_and_log_loss() -> None:
    """Multiple choice: a class that only one record lists has no F1 and no AUROC."""
    found = evaluate([predicted(["x"], [1, 0], ("x", "y")), predicted(["q"], [1, 0], ("p", "q"))])
    assert set(found) == {"n", "accuracy", "log_loss"}
    assert found["accuracy"] == 0.5


def test_classification_free_text_is_refused_with_the_remedy() -> None:
    with pytest.raises(BadInput, match=r"prediction r7: it has no scores; evaluate free text with 'generation'"):
        evaluate([Prediction(id="r7", gold=("yes",), answer="yes", text="yes")])


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_classification_scores_that_are_no_numbers_are_an_error_and_not_a_metric(bad: float) -> None:
    with pytest.raises(MdkifError, match="prediction r are not finite"):
        evaluate([predicted(["yes"], [0.0, bad])])


def test_classification_prediction_has_a_score_for_each_option() -> None:
    with pytest.raises(ValueError, match="prediction r: 1 scores for 2 options"):
        predicted(["yes"], [1.0])


def extracted(
    gold: Sequence[str], labels: Sequence[str], options: Sequence[str], multi_label: bool = False
) -> Prediction:
    return Prediction(
        id="r", gold=tuple(gold), answer="", options=tuple(options), labels=tuple(labels), multi_label=multi_label
    )


@quick
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1, max_size=20))
def test_classification_extracted_single_labels_are_judged_as_they_are(pairs: list[tuple[str, str]]) -> None:
    metrics = evaluate([extracted([gold], [label], "abc") for gold, label in pairs])
    assert metrics["accuracy"] == pytest.approx(sum(gold == label for gold, label in pairs) / len(pairs))
    each = [pair_f1([{g} for g, _ in pairs], [{f} for _, f in pairs], name) for name in "abc"]
    defined = [value for value in each if value is not None]
    assert metrics["macro_f1"] == pytest.approx(sum(defined) / len(defined))
    assert metrics["f1_undefined"] == 3 - len(defined)
    assert set(metrics) == {"n", "accuracy", "macro_f1", "f1_undefined"}


@quick
@given(st.lists(st.tuples(st.sets(st.sampled_from("abc")), st.sets(st.sampled_from("abc"))), min_size=1, max_size=20))
def test_classification_extracted_lists_of_labels_are_judged_as_they_are(
    pairs: list[tuple[set[str], set[str]]],
) -> None:
    metrics = evaluate([extracted(sorted(gold), sorted(found), "abc", multi_label=True) for gold, found in pairs])
    hits = sum(len(gold & found) for gold, found in pairs)
    marked = sum(len(gold) + len(found) for gold, found in pairs)
    assert metrics.get("micro_f1") == (pytest.approx(2 * hits / marked) if marked else None)
    assert "accuracy" not in metrics
    assert "auroc" not in metrics


def test_classification_precision_at_k_is_the_share_of_right_labels_among_the_k_likeliest() -> None:
    names = [f"c{i:02}" for i in range(9)]
    first = predicted(["c00", "c08"], [-i for i in range(9)], names, multi_label=True)
    second = predicted(["c00", "c08"], list(range(9)), names, multi_label=True)
    metrics = evaluate([first, second])
    assert metrics["precision_at_5"] == pytest.approx((1 / 5 + 1 / 5) / 2)
    assert metrics["precision_at_8"] == pytest.approx((1 / 8 + 1 / 8) / 2)
    assert "precision_at_15" not in metrics
    assert "precision_at_5" not in evaluate([predicted(["no"], [0.0, 1.0], multi_label=True)] * 2)
