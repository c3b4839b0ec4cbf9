"""Shortcuts: what each goes by, against independent computations, and that it finds what was planted."""

import math
import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st
from mdkif import Record, format_choices, letter_triples
from mdkif.testing import assert_conforms, given_to, questions
from mdkif_baseline_shortcuts import FirstSentence, Length, Majority, OverlapLetters, OverlapWords, Position
from mdkif_baseline_shortcuts.features import Characters
from mdkif_baseline_shortcuts.fitting import told_by
from mdkif_baseline_shortcuts.texts import first_sentence, jaccard, two_texts, words
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from scipy.stats import norm

WORDS = ("fever", "gout", "liver", "renal", "acute", "benign", "cough", "aspirin", "trial", "lesion")


def test_baseline_shortcuts_conform():
    assert_conforms("mdkif-baseline-shortcuts")


def choice(number, options, gold, question="Which?", context="", **more):
    return Record(id=str(number), context=context, **format_choices(question, options, gold), **more)


def texts(method, given):
    return [each.text for each in method.answers(given)]


def test_majority_is_the_smoothed_share_of_each_label():
    examples = [choice(i, ("yes", "no", "maybe"), [("yes", "yes", "no")[i % 3]]) for i in range(30)]
    [found] = Majority(smoothing=2.0).answers(given_to(examples[:1], examples))
    assert np.exp(found.scores).tolist() == pytest.approx([22 / 36, 12 / 36, 2 / 36])
    assert found.text == "yes"


def test_majority_of_several_labels_is_the_odds_of_each():
    examples = [choice(i, ("a", "b", "c"), ["a", "b"][: 1 + (i % 2)]) for i in range(20)]
    [found] = Majority().answers(given_to(examples[:1], examples, multi_label=True))
    shares = [21 / 22, 11 / 22, 1 / 22]
    assert found.scores == pytest.approx([math.log(share / (1 - share)) for share in shares])


def test_majority_without_options_is_the_commonest_answer():
    examples = [Record(id=str(i), query="?", answer=answer) for i, answer in enumerate(["none", "so", "none"])]
    assert texts(Majority(), given_to(examples[:2], examples)) == ["none", "none"]


@pytest.mark.parametrize("smoothing", [0.0, 1.0])
def test_majority_and_position_without_counts_are_finite(smoothing):
    examples = [choice(i, ("yes", "no"), ["yes"]) for i in range(3)]
    other = [choice(9, ("left", "right"), ["left"])]
    for method in (Majority(smoothing=smoothing), Position(smoothing=smoothing)):
        assert all(map(math.isfinite, method.answers(given_to(other, examples))[0].scores))


def test_position_finds_the_place_that_is_right_most_often():
    draw = random.Random(0)
    records = []
    for i in range(60):
        options = draw.sample(WORDS, 4)
        records.append(choice(i, options, [options[2 if i % 4 else 0]]))
    found = Position().answers(given_to(records[:20], records[20:]))
    counts = Counter(2 if i % 4 else 0 for i in range(20, 60))
    assert all(each.text == each.options[2] for each in found)
    assert found[0].scores[2] == pytest.approx(math.log((counts[2] + 1) / 44))


@pytest.mark.parametrize(("longest", "place"), [(True, -1), (False, 0)])
def test_length_takes_the_longest_or_the_shortest_as_the_examples_say(longest, place):
    draw = random.Random(1)
    records = []
    for i in range(60):
        options = ["x" * n for n in draw.sample(range(3, 90), 4)]
        records.append(choice(i, options, [sorted(options, key=len)[place]]))
    found = Length().answers(given_to(records[:20], records[20:]))
    assert all(each.text == each.gold[0] for each in found)


def test_length_of_the_text_tells_between_labels_that_all_records_list():
    draw = random.Random(2)
    records = [
        choice(
            i, ("yes", "no"), ["no" if long else "yes"], context="word " * draw.randint(*((40, 60) if long else (2, 9)))
        )
        for i, long in enumerate([True, False] * 30)
    ]
    found = Length().answers(given_to(records[:20], records[20:]))
    assert all(each.text == each.gold[0] for each in found)


@pytest.mark.parametrize("method", [OverlapWords(), OverlapLetters()])
def test_overlap_takes_the_option_that_says_what_the_question_does(method):
    draw = random.Random(3)
    records = []
    for i in range(40):
        options = draw.sample(WORDS, 4)
        records.append(
            choice(i, [f"about {each}" for each in options], [f"about {options[1]}"], f"What of {options[1]}?")
        )
    assert all(each.text == each.gold[0] for each in method.answers(given_to(records[:10], records[10:])))


@pytest.mark.parametrize("method", [OverlapWords(), OverlapLetters()])
def test_overlap_of_two_terms_tells_whether_one_is_a_kind_of_the_other(method):
    draw = random.Random(4)
    records = []
    for i in range(60):
        one, other, third = draw.sample(WORDS, 3)
        second = f"{one} disease" if i % 2 else f"{third} lesion of the skin"
        context = f"concept 1: {other} {one} disease\nconcept 2: {second}"
        records.append(choice(i, ("yes", "no"), ["yes" if i % 2 else "no"], context=context))
    found = method.answers(given_to(records[:20], records[20:]))
    assert sum(each.text == each.gold[0] for each in found) >= 18


def test_overlap_letters_counts_an_inflection_that_words_do_not():
    assert jaccard(words("renal lesions"), words("renal lesion")) == 1 / 3
    assert jaccard(letter_triples("renal lesions"), letter_triples("renal lesion")) == 10 / 11


@for_all(st.text(max_size=40), st.text(max_size=40))
def test_texts_jaccard_is_a_share_and_symmetric(one, other):
    for parts in (words, letter_triples):
        found = jaccard(parts(one), parts(other))
        assert 0 <= found == jaccard(parts(other), parts(one)) <= 1
        assert jaccard(parts(one), parts(one)) == (1.0 if parts(one) else 0.0)


def test_texts_of_a_question_are_it_without_its_options_and_the_context():
    record = choice(1, ("renal failure", "renal"), ["renal"], "Which of the kidney?")
    assert two_texts(record) == ("Which of the kidney?", "")


def test_first_sentence_is_that_of_the_context_or_else_of_the_question():
    long = Record(id="1", query="Why?", context="It hurts since last Monday morning. Then it stopped.", answer="")
    none = Record(id="2", query="Why does it hurt?", answer="")
    assert texts(FirstSentence(), given_to([long, none], [])) == [
        "It hurts since last Monday morning.",
        "Why does it hurt?",
    ]
    assert first_sentence("No end here") == "No end here"


def contrast(values, right):
    """A feature whose values are given by the record's id, and the records."""
    records = []
    for i, row in enumerate(values):
        options = [f"{i}-{place}" for place in range(len(row))]
        records.append(choice(i, options, [options[right[i]]]))
    numbers = {f"{i}-{place}": value for i, row in enumerate(values) for place, value in enumerate(row)}

    class Planted(Characters):
        def of_option(self, record, option):
            return numbers[option]

    return Planted(), records


ROW = st.lists(st.floats(-50, 50), min_size=3, max_size=3)


@settings(max_examples=40, deadline=None)
@for_all(st.lists(st.tuples(ROW, st.integers(0, 2)), min_size=2, max_size=12))
def test_fitting_of_own_options_maximises_the_penalised_likelihood(rows):
    values, right = [row for row, _ in rows], [gold for _, gold in rows]
    feature, records = contrast(values, right)
    found = told_by(feature, given_to(records, records))
    spread = np.std(values, axis=1, keepdims=True)
    shapes = np.divide(np.array(values) - np.mean(values, axis=1, keepdims=True), spread, where=spread > 1e-12,
                       out=np.zeros((len(rows), 3)))  # fmt: skip

    def loss(slope):
        return slope**2 / 2 - log_softmax(slope * shapes, axis=1)[range(len(rows)), right].sum()

    slope = minimize_scalar(loss, bracket=(-1, 1), tol=1e-12).x
    assert np.allclose(found, log_softmax(slope * shapes, axis=1), atol=1e-4)


def test_fitting_of_shared_options_is_fishers_discriminant():
    draw = np.random.default_rng(5)
    gold = draw.integers(0, 3, 90)
    lengths = np.round(np.exp(draw.normal(3 + gold, 0.6))).astype(int)
    records = [
        choice(i, ("a", "b", "c"), ["abc"[g]], context="x" * n)
        for i, (g, n) in enumerate(zip(gold, lengths, strict=True))
    ]
    numbers = np.array([[Characters().of_record(record)] for record in records])
    means = np.array([numbers[gold == label].mean() for label in range(3)])
    spread = np.sqrt(((numbers[:, 0] - means[gold]) ** 2).sum() / (90 - 3))
    joint = np.log(np.bincount(gold) + 1) + norm.logpdf(numbers, means, spread)
    assert np.allclose(told_by(Characters(), given_to(records, records)), log_softmax(joint, axis=1))


def test_fitting_of_several_labels_gives_each_its_own_odds():
    records = questions("several", 200)
    planted = [replace(each, context="x" * (90 if "gout" in each.labels else 10)) for each in records]
    scores = told_by(Characters(), given_to(planted, planted, multi_label=True))
    for record, row in zip(planted, scores, strict=True):
        assert (row[1] > 0) == ("gout" in record.labels)
    assert max(abs(row[0] - scores[0][0]) for row in scores) < 1.0
