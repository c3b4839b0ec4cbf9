"""Entity metrics against numbers by hand, and against entity F1 computed from tag sequences."""

from __future__ import annotations

import math
import random
from itertools import pairwise
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mdkif import BadInput, Prediction
from mdkif.testing import assert_conforms
from mdkif_evaluator_entities import METRICS, evaluate

quick = settings(deadline=None, max_examples=100)
KINDS = ("problem", "test", "treatment")


def predicted(gold: list[str], text: str, name: str = "r") -> Prediction:
    return Prediction(id=name, gold=tuple(gold), answer="\n".join(gold) or "none", text=text)


def test_entities_entity_metrics_conform() -> None:
    assert_conforms("mdkif-evaluator-entities")


def test_entities_more_is_better_of_every_metric() -> None:
    assert dict.fromkeys(("precision", "recall", "f1", "macro_f1", "exact_match"), True) == METRICS


def test_entities_three_records_by_hand() -> None:
    found = evaluate(
        [
            predicted(["problem: sepsis", "test: CT"], "problem: sepsis\ntest: MRI\ntest: ct"),
            predicted(["problem: cough"], "none"),
            predicted([], "none"),
        ]
    )
    assert found["n"] == 3
    assert found["precision"] == pytest.approx(2 / 3)
    assert found["recall"] == pytest.approx(2 / 3)
    assert found["f1"] == pytest.approx(2 / 3)
    # problem: 1 of 1 named, 1 of 2 found -> 2/3; test: 1 of 2 named, 1 of 1 found -> 2/3
    assert found["macro_f1"] == pytest.approx(2 / 3)
    assert found["exact_match"] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    "text",
    ["PROBLEM: Chest Pain", "problem:chest   pain ", "Here they are\nproblem: chest pain\n", "Problem : chest pain"],
)
def test_entities_case_spacing_and_lines_that_name_nothing_do_not_matter(text: str) -> None:
    found = evaluate([predicted(["problem: chest pain"], text)])
    assert all(found[name] == 1 for name in METRICS)


@pytest.mark.parametrize("text", ["problem: pain", "test: chest pain", "chest pain", "problem: chest pain .", ""])
def test_entities_part_of_an_entity_or_another_type_is_wrong(text: str) -> None:
    found = evaluate([predicted(["problem: chest pain"], text)])
    assert all(found[name] == 0 for name in METRICS)


def test_entities_entity_that_stands_twice_must_be_named_twice() -> None:
    twice = ["problem: pain", "problem: pain"]
    once = evaluate([predicted(twice, "problem: pain")])
    assert (once["precision"], once["recall"], once["exact_match"]) == (1, 0.5, 0)
    assert evaluate([predicted(twice, "\n".join(twice))])["f1"] == 1
    thrice = evaluate([predicted(twice, "problem: pain\n" * 3)])
    assert thrice["precision"] == pytest.approx(2 / 3)
    assert thrice["recall"] == 1


def test_entities_record_is_never_credited_for_the_entities_of_another() -> None:
    found = evaluate([predicted(["test: CT"], "test: MRI"), predicted(["test: MRI"], "test: CT")])
    assert found["f1"] == found["exact_match"] == 0


def test_entities_order_of_the_lines_does_not_matter() -> None:
    assert evaluate([predicted(["problem: a", "test: b"], "test: b\nproblem: a")])["exact_match"] == 1


def test_entities_colons_may_be_part_of_an_entity() -> None:
    assert evaluate([predicted(["test: ratio 1 : 2"], "Test: ratio 1 : 2")])["f1"] == 1


def test_entities_invented_type_counts_against_precision_but_has_no_f1_of_its_own() -> None:
    found = evaluate([predicted(["problem: sepsis"], "problem: sepsis\nsure: here you are")])
    assert (found["precision"], found["recall"], found["macro_f1"]) == (0.5, 1, 1)


def test_entities_without_any_entity_only_exact_match_is_defined() -> None:
    assert evaluate([predicted([], "none"), predicted([], "")]) == {"n": 2, "exact_match": 1}


def test_entities_where_none_are_right_have_no_precision_and_no_macro_f1() -> None:
    found = evaluate([predicted([], "problem: sepsis")])
    assert found == {"n": 1, "exact_match": 0, "precision": 0, "recall": 0, "f1": 0}


@pytest.mark.parametrize("gold", [["SECRET"], ["problem: a", "SECRET"], ["problem: "], ["problem: a\ntest: b"]])
def test_entities_gold_that_is_no_entity_is_refused_with_the_remedy(gold: list[str]) -> None:
    with pytest.raises(
        BadInput, match=r"prediction r7: its gold labels are not 'type: entity'.*'generation'"
    ) as caught:
        evaluate([predicted(["problem: x"], "none"), predicted(gold, "none", "r7")])
    assert "SECRET" not in str(caught.value)


def spans(tags: list[str]) -> set[tuple[str, int, int]]:
    """The entities of an IOB2 sequence as conlleval and seqeval read it."""
    found, begun = set(), 0
    for place, (before, tag) in enumerate(pairwise(["O", *tags, "O"])):
        if before != "O" and not (tag[0] == "I" and tag[2:] == before[2:]):
            found.add((before[2:], begun, place))
        if tag[0] == "B":
            begun = place
    return found


@st.composite
def tagged(draw: st.DrawFn) -> list[str]:
    """A well-formed IOB2 sequence."""
    tags: list[str] = []
    for _ in range(draw(st.integers(0, 4))):
        tags += ["O"] * draw(st.integers(0, 2))
        kind, length = draw(st.sampled_from(KINDS)), draw(st.integers(1, 3))
        tags += [f"B-{kind}"] + [f"I-{kind}"] * (length - 1)
    return tags


def lines(tags: list[str]) -> list[str]:
    """The entities of a sequence over the words w0 w1 …, where words stand for positions."""
    return [f"{kind}: {' '.join(f'w{i}' for i in range(a, b))}" for kind, a, b in sorted(spans(tags))]


def f1(gold: set[tuple[int, str, int, int]], named: set[tuple[int, str, int, int]]) -> float:
    """The harmonic mean of precision and recall, as they are defined."""
    if not gold & named:
        return 0.0
    precision, recall = len(gold & named) / len(named), len(gold & named) / len(gold)
    return 2 / (1 / precision + 1 / recall)


def test_entities_tag_sequences_are_decoded_as_conll_does() -> None:
    tags = ["B-test", "I-test", "B-test", "O", "B-problem", "B-test", "I-test"]
    assert spans(tags) == {("test", 0, 2), ("test", 2, 3), ("problem", 4, 5), ("test", 5, 7)}


@quick
@given(st.lists(st.tuples(tagged(), tagged()), min_size=1, max_size=5))
def test_entities_where_words_are_positions_these_are_the_f1_of_tag_sequences(
    pairs: list[tuple[list[str], list[str]]],
) -> None:
    found = evaluate([predicted(lines(gold), "\n".join(lines(named))) for gold, named in pairs])
    gold = {(n, *span) for n, (tags, _) in enumerate(pairs) for span in spans(tags)}
    named = {(n, *span) for n, (_, tags) in enumerate(pairs) for span in spans(tags)}
    assert found["exact_match"] == pytest.approx(fmean(spans(a) == spans(b) for a, b in pairs))
    if gold or named:
        assert found["f1"] == pytest.approx(f1(gold, named))
        assert found["precision"] == pytest.approx(len(gold & named) / len(named) if named else 0)
        assert found["recall"] == pytest.approx(len(gold & named) / len(gold) if gold else 0)
    if gold:
        each = [f1({s for s in gold if s[1] == k}, {s for s in named if s[1] == k}) for k in {s[1] for s in gold}]
        assert found["macro_f1"] == pytest.approx(fmean(each))


@quick
@given(st.lists(st.tuples(tagged(), st.text()), min_size=1, max_size=5), st.randoms())
def test_entities_whatever_a_model_says_metrics_are_shares_and_blind_to_order(
    pairs: list[tuple[list[str], str]], rng: random.Random
) -> None:
    predictions = [predicted(lines(gold), text, str(n)) for n, (gold, text) in enumerate(pairs)]
    found = evaluate(predictions)
    for name in METRICS.keys() & found.keys():
        assert math.isfinite(found[name])
        assert 0 <= found[name] <= 1
    assert evaluate(rng.sample(predictions, len(predictions))) == pytest.approx(found)
