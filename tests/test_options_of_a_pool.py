"""Options drawn from a pool: of one length, and of no rank by length or shared letters that tells the right one."""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mdkif import MatchedChoices
from mdkif.core.data.labels import format_choices
from mdkif.core.data.records import Record
from mdkif.testing import shortcuts

SYLLABLES = [
    "ma",
    "ven",
    "dor",
    "al",
    "rin",
    "sop",
    "gl",
    "be",
    "lun",
    "ca",
    "fen",
    "to",
    "mil",
    "bra",
    "s",
    "vor",
    "nim",
    "pal",
    "ent",
    "ur",
]


def named(draw, parts):
    return " ".join("".join(draw.sample(SYLLABLES, draw.choice([2, 3]))) for _ in range(parts))


@pytest.fixture(scope="module")
def vocabulary():
    draw = random.Random(3)
    return sorted({named(draw, 2) for _ in range(1500)})


def triples(text):
    return {word[i : i + 3] for word in text.split() for i in range(len(word) - 2)}


def asked(vocabulary, count=400):
    """Golds with clues that hold a part of them, and their options."""
    draw, pool = random.Random(5), MatchedChoices(vocabulary)
    for number in range(count):
        gold = draw.choice(vocabulary)
        clue = f"{gold[: draw.randrange(3, 7)]} {named(draw, draw.choice([1, 6]))}"
        options = pool.choices(gold, clue, str(number))
        if options:
            yield gold, clue, options


def test_pool_gives_three_others_within_a_quarter_of_the_length(vocabulary):
    found = list(asked(vocabulary))
    assert len(found) > 100
    for gold, _, options in found:
        assert len(set(options)) == 4
        assert gold in options
        assert set(options) <= set(vocabulary)
        assert all(abs(len(option) - len(gold)) <= len(gold) / 4 for option in options)


def test_pool_gives_the_answer_every_rank_by_length_and_letters_as_often(vocabulary):
    ranks = {"length": Counter(), "count": Counter(), "jaccard": Counter(), "place": Counter()}
    for gold, clue, options in (found := list(asked(vocabulary, 2000))):
        text = triples(clue)
        measures = {
            "length": len,
            "count": lambda option, text=text: len(triples(option) & text),
            "jaccard": lambda option, text=text: len(triples(option) & text) / len(triples(option) | text),
        }
        for name, measure in measures.items():
            values = [measure(option) for option in options if option != gold]
            if name == "length" or triples(gold) & text:
                assert measure(gold) not in values
                ranks[name][sum(value > measure(gold) for value in values)] += 1
            else:
                assert set(values) == {0}
        ranks["place"][options.index(gold)] += 1
    assert len(found) > 400
    for name, counts in ranks.items():
        assert all(abs(counts[rank] / counts.total() - 0.25) < 0.07 for rank in range(4)), (name, counts)


def test_pool_leaves_no_shortcut(vocabulary):
    records = [
        Record(id=str(number), context=clue, **format_choices("Which?", options, [gold]))
        for number, (gold, clue, options) in enumerate(asked(vocabulary, 2000))
    ]
    found = shortcuts(records)
    del found["majority"]
    assert all(abs(share - 0.25) < 0.06 for share in found.values()), found


def test_pool_that_lacks_a_rank_gives_nothing(vocabulary):
    gold = vocabulary[0]
    assert MatchedChoices(vocabulary).choices(gold, gold, "x") is None  # nothing is nearer to the clue than itself
    assert MatchedChoices([gold]).choices(gold, "clue", "x") is None
    assert MatchedChoices([]).choices("gold", "clue", "x") is None


def test_pool_takes_only_what_is_certainly_wrong(vocabulary):
    pool, gold = MatchedChoices(vocabulary), vocabulary[700]
    options = pool.choices(gold, "zzz", "x", lambda text: text[0] in "abc")
    assert options
    assert all(option == gold or option[0] in "abc" for option in options)


def test_pool_depends_on_the_seed_and_on_nothing_else(vocabulary):
    gold, clue = vocabulary[700], "zzz"
    mixed = random.Random(1).sample(vocabulary, len(vocabulary))
    assert MatchedChoices(mixed).choices(gold, clue, "x") == MatchedChoices(vocabulary).choices(gold, clue, "x")
    assert len({MatchedChoices(vocabulary).choices(gold, clue, str(seed)) for seed in range(9)}) > 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=12), max_size=40), st.text(max_size=12), st.text(max_size=40), st.integers(1, 3))
def test_pool_of_any_texts_gives_distinct_options_or_none(pool, gold, clue, count):
    options = MatchedChoices(pool).choices(gold, clue, "x", count=count)
    if options is not None:
        assert len(set(options)) == len(options) == count + 1
        assert options.count(gold) == 1


def test_shortcuts_are_what_counting_reaches():
    records = [
        Record(id="1", context="a red rose", **format_choices("Which?", ["red", "green stem", "blue"], ["red"])),
        Record(id="2", context="nothing", **format_choices("Which?", ["red", "green stem", "blue"], ["blue"])),
    ]
    assert shortcuts(records) == {
        "majority": 0.5,
        "longest": 0.0,
        "shortest": 0.5,
        "nearest": pytest.approx((1 + 1 / 3) / 2),
        "farthest": pytest.approx((0 + 1 / 3) / 2),
        "likest": pytest.approx((1 + 1 / 3) / 2),
    }
