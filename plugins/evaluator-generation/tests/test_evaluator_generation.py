"""Text metrics against values worked out by hand, an independent subsequence count, and random texts."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mdkif import Prediction
from mdkif.testing import assert_conforms
from mdkif_evaluator_generation import METRICS, evaluate, right_answers, token_f1, words


def predicted(answer: str, text: str, name: str = "r") -> Prediction:
    return Prediction(id=name, gold=(answer,), answer=answer, text=text)


def subsequence(a: list[str], b: list[str]) -> int:
    """The length of the longest common subsequence, by its definition."""
    if not a or not b:
        return 0
    if a[0] == b[0]:
        return 1 + subsequence(a[1:], b[1:])
    return max(subsequence(a[1:], b), subsequence(a, b[1:]))


def f1(shared: int, a: int, b: int) -> float:
    return 2 * shared / (a + b) if shared else 0.0


# words that stemming leaves alone and of more than three letters, so that every metric sees the same tokens
texts = st.lists(st.sampled_from(["liver", "lung", "pain", "renal"]), max_size=6)
any_text = st.text(max_size=30)
quick = settings(deadline=None, max_examples=50)


def test_generation_metrics_conform() -> None:
    assert_conforms("mdkif-evaluator-generation")


def test_generation_more_is_better_of_every_metric() -> None:
    assert dict.fromkeys(["rouge1", "rougeL", "exact_match", "token_f1"], True) == METRICS


def test_generation_two_records_by_hand() -> None:
    found = evaluate(
        [
            predicted("The left lung.", "left lung"),  # equal but for article, case and punctuation
            predicted("acute renal failure", "renal failure, acute"),  # the same words in another order
        ]
    )
    assert found["n"] == 2
    assert found["exact_match"] == 0.5
    assert found["token_f1"] == 1.0
    # ROUGE keeps the article: 2 of 3 and 2 of 2 words -> 0.8
    assert found["rouge1"] == pytest.approx((0.8 + 1) / 2)
    # the longest common subsequence of the second is "renal failure", 2 of 3 words
    assert found["rougeL"] == pytest.approx((0.8 + 2 / 3) / 2)


def test_generation_rouge_compares_stems() -> None:
    assert evaluate([predicted("treated infections", "treating infection")])["rouge1"] == 1.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Liver", ["liver"]),
        ("a cat; an owl", ["cat", "owl"]),
        ("beta-blocker", ["betablocker"]),
        ("anaemia theatre", ["anaemia", "theatre"]),  # articles are removed as words only
        ("  \n ", []),
    ],
)
def test_generation_words_are_those_of_squad(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_generation_token_f1_counts_repeated_words() -> None:
    # two of the three "pain" are matched: precision 2/3, recall 2/2
    assert token_f1("pain pain", "pain pain pain") == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("answer", "text", "expected"), [("", "", 1.0), ("the", "a", 1.0), ("", "x", 0.0), ("x", "", 0.0)]
)
def test_generation_texts_without_words_agree_only_with_each_other(answer: str, text: str, expected: float) -> None:
    assert token_f1(answer, text) == expected


@quick
@given(texts, texts)
def test_generation_metrics_agree_with_independent_counts(answer: list[str], text: list[str]) -> None:
    found = evaluate([predicted(" ".join(answer), " ".join(text))])
    shared = sum(min(answer.count(word), text.count(word)) for word in set(answer))
    assert found["rouge1"] == pytest.approx(f1(shared, len(answer), len(text)))
    assert found["rougeL"] == pytest.approx(f1(subsequence(answer, text), len(answer), len(text)))
    assert found["exact_match"] == (answer == text)
    if answer or text:
        assert found["token_f1"] == pytest.approx(f1(shared, len(answer), len(text)))


@quick
@given(st.lists(st.tuples(any_text, any_text), min_size=1, max_size=6), st.randoms())
def test_generation_metrics_are_bounded_and_blind_to_order(pairs: list[tuple[str, str]], rng: random.Random) -> None:
    predictions = [predicted(answer, text, str(i)) for i, (answer, text) in enumerate(pairs)]
    found = evaluate(predictions)
    assert set(found) == {"n", *METRICS}
    assert all(0 <= found[name] <= 1 for name in METRICS)
    assert evaluate(rng.sample(predictions, len(predictions))) == found


@quick
@given(any_text)
def test_generation_answer_itself_is_right(text: str) -> None:
    found = evaluate([predicted(text, text)])
    assert found["exact_match"] == found["token_f1"] == 1.0


@quick
@given(any_text, any_text)
def test_generation_token_f1_is_symmetric_and_one_only_for_the_same_words(a: str, b: str) -> None:
    assert token_f1(a, b) == token_f1(b, a)
    assert (token_f1(a, b) == 1.0) == (Counter(words(a)) == Counter(words(b)))


def several(text: str, *gold: str, options: tuple[str, ...] = ()) -> Prediction:
    return Prediction(id="r", gold=gold, answer=gold[0], text=text, options=options)


def test_generation_nearest_of_several_right_answers_counts_for_each_metric() -> None:
    assert evaluate([several("Heart attack.", "MI", "heart attack")]) == {"n": 1, **dict.fromkeys(METRICS, 1.0)}
    # the first answer has both words, but in another order; the second shares one word
    found = evaluate([several("renal pain", "pain renal liver", "pain")])
    assert found["exact_match"] == 0
    assert found["token_f1"] == found["rouge1"] == pytest.approx(0.8)
    assert found["rougeL"] == pytest.approx(2 / 3)


def test_generation_labels_of_a_closed_set_are_one_answer_together() -> None:
    closed = several("sepsis", "sepsis", "asthma", options=("sepsis", "asthma"))
    assert right_answers(closed) == ("sepsis",)
    joined = Prediction(id="r", gold=("a1", "b1"), answer="a1; b1", text="a1", options=("a1", "b1"))
    assert evaluate([joined])["exact_match"] == 0


def test_generation_without_gold_answers_there_is_the_answer() -> None:
    assert right_answers(Prediction(id="r", gold=(), answer="x")) == ("x",)
    assert evaluate([Prediction(id="r", gold=(), answer="x", text="X!")])["exact_match"] == 1.0


@quick
@given(st.lists(texts.filter(bool), min_size=1, max_size=4), texts)
def test_generation_several_answers_score_as_the_best_of_them_alone(gold: list[list[str]], text: list[str]) -> None:
    answers, written = [" ".join(answer) for answer in gold], " ".join(text)
    alone = [evaluate([predicted(answer, written)]) for answer in answers]
    assert evaluate([several(written, *answers)]) == {key: max(each[key] for each in alone) for key in alone[0]}
