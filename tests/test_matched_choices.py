"""Wrong options beside a right one: of its length, on both sides of it, and the same whenever they are drawn."""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mdkif import Matchable, letter_triples, matched_choices

SYLLABLES = ("ca", "de", "fi", "go", "lu", "mi", "na", "po", "ra", "se", "ti", "vu")


def trial(count, seed=0, near=5):
    """Questions whose right answers share words with them, as those of real data do, and everyone's as candidates."""
    draw = random.Random(seed)
    words = ["".join(draw.choices(SYLLABLES, k=draw.randint(2, 4))) for _ in range(200)]
    made = []
    for _ in range(count):
        topic = draw.sample(words, 6)
        answer = draw.choices(topic, k=near) + draw.choices(words, k=draw.randint(2, 8))
        made.append((" ".join(topic), " ".join(answer)))
    answers = [answer for _, answer in made]
    return [
        Matchable(key=str(i), asked=asked, gold=answer, candidates=[each for each in answers if each != answer])
        for i, (asked, answer) in enumerate(made)
    ]


def shared(one, other):
    """The Jaccard index of letter triples, by other means."""
    one, other = ({text[i : i + 3] for i in range(len(text) - 2)} for text in (one, other))
    return len(one & other) / len(one | other)


def places(questions, found, measure):
    """How often the gold stands first, second and so on."""
    counts = Counter()
    for each in questions:
        if each.key in found:
            ordered = sorted(found[each.key], key=lambda text: measure(each, text), reverse=True)
            counts[ordered.index(each.gold)] += 1
    return [counts[place] for place in range(len(next(iter(found.values()))))]


@pytest.mark.parametrize("distractors", [1, 3])
@pytest.mark.parametrize("seed", [0, 1])
def test_matched_choices_neither_length_nor_shared_letters_tell_the_gold(seed, distractors):
    questions = trial(300, seed)
    found = matched_choices(questions, distractors)
    assert len(found) > 60
    for measure in (lambda each, text: shared(each.asked, text), lambda _, text: len(text)):
        counts = places(questions, found, measure)
        assert max(counts) <= len(found) * (1 / (distractors + 1) + 0.05)
        assert min(counts) >= len(found) * (1 / (distractors + 1) - 0.05)
    naive = {each.key: (each.gold, *each.candidates[:3]) for each in questions}
    assert places(questions, naive, lambda each, text: shared(each.asked, text))[0] > 0.6 * len(naive)


def test_matched_choices_have_the_golds_length_within_a_quarter_and_stand_in_any_order():
    questions = trial(300)
    found = matched_choices(questions)
    gold = {each.key: each.gold for each in questions}
    assert all(0.75 <= len(text) / len(gold[key]) <= 1.25 for key, texts in found.items() for text in texts)
    assert all(len(set(texts)) == 4 and gold[key] in texts for key, texts in found.items())
    stands = Counter(texts.index(gold[key]) for key, texts in found.items())
    assert all(stands[place] > len(found) / 8 for place in range(4))


def test_matched_choices_depend_on_keys_and_texts_alone():
    questions = trial(120)
    again = random.Random(5).sample(questions, len(questions))
    assert matched_choices(again) == matched_choices(questions)


def test_matched_choices_prefer_the_candidates_that_come_first():
    questions = trial(120)
    marked = [Matchable(key=q.key, asked=q.asked, gold=q.gold, candidates=[*q.candidates[60:], *q.candidates[:60]])
              for q in questions]  # fmt: skip
    found = matched_choices(marked)
    first = {q.key: set(q.candidates[:60]) for q in marked}
    gold = {q.key: q.gold for q in marked}
    taken = [text in first[key] for key, texts in found.items() for text in texts if text != gold[key]]
    assert sum(taken) > 0.7 * len(taken)


TEXT = st.text("abc ", max_size=12)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT.filter(str.strip), st.lists(TEXT, max_size=8)), max_size=12))
def test_matched_choices_of_anything_are_distinct_and_evenly_placed(rows):
    questions = [Matchable(key=str(i), asked=a, gold=g, candidates=c) for i, (a, g, c) in enumerate(rows)]
    for key, texts in matched_choices(questions, 1).items():
        gold, candidates = rows[int(key)][1:]
        assert set(texts) <= {gold, *candidates}
        assert len({text.casefold() for text in texts}) == 2


def test_matched_choices_without_enough_candidates_leave_a_question_out():
    lonely = Matchable(key="1", asked="fever", gold="a fever", candidates=["x", "a very long answer indeed", "A FEVER"])
    assert matched_choices([lonely]) == {}
    assert matched_choices([]) == {}


def test_letter_triples_are_those_of_the_plain_text():
    assert letter_triples("Gout, gout!") == {"gou", "out", "ut ", "t g", " go"}
    assert letter_triples("ab") == {"ab"}
    assert letter_triples(" ?") == frozenset()
