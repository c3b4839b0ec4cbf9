"""Samples: seeded, of bounded memory, uniform, and for few shots with every label's share."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mdkif import Record
from mdkif.core.data.sampling import label_counts, sample

OPTIONS = ("yes", "no", "maybe")


def records(labels, options=OPTIONS, split="train"):
    return [
        Record(id=str(i), query="; ".join(options), answer=label, options=options, labels=(label,), split=split)
        for i, label in enumerate(labels)
    ]


def stratified(stream, split, size, seed):
    return sample(stream, {split: size}, seed, stratified=True)[split]


LABELS = st.lists(st.sampled_from(OPTIONS), max_size=60)


@given(LABELS, st.integers(0, 70), st.integers(0, 3))
def test_stratified_gives_every_label_its_share_to_the_nearest_record(labels, size, seed):
    drawn = stratified(records(labels), "train", size, seed)
    wanted = min(size or len(labels), len(labels))
    assert len(drawn) == len({each.id for each in drawn}) == wanted
    found, there = Counter(each.answer for each in drawn), Counter(labels)
    for label, count in there.items():
        assert abs(found[label] - wanted * count / len(labels)) < 1
    assert drawn == stratified(records(labels), "train", size, seed)


def test_stratified_reads_one_split_only_and_another_seed_draws_others():
    stream = records(["yes", "no"] * 40) + records(["maybe"] * 40, split="test")
    first, other = (stratified(stream, "train", 10, seed) for seed in (0, 1))
    assert label_counts(first) == label_counts(other) == {"yes": 5, "no": 5, "maybe": 0}
    assert {each.id for each in first} != {each.id for each in other}
    assert any(a.answer == b.answer for a, b in pairwise(first)), "labels come in no order"
    assert stratified(stream, "dev", 10, 0) == []


def test_stratified_where_options_differ_is_uniform_and_of_bounded_memory():
    """Each question has answers of its own, which are no labels to have shares."""
    stream = [each for i in range(400) for each in records([f"answer {i}"], (f"answer {i}", f"other {i}"))]
    drawn = stratified(stream, "train", 20, 0)
    assert len(drawn) == 20
    assert label_counts(drawn) == {}
    places = Counter(stream.index(each) // 100 for seed in range(30) for each in stratified(stream, "train", 20, seed))
    assert all(100 < places[quarter] < 200 for quarter in range(4))


def test_label_counts_counts_every_right_label_in_the_order_of_the_options():
    several = [Record(id=str(i), query="a; b; c", answer="; ".join(labels), options=("a", "b", "c"), labels=labels)
               for i, labels in enumerate([("b", "c"), ("c",), ()])]  # fmt: skip
    assert list(label_counts(several).items()) == [("a", 0), ("b", 1), ("c", 2)]
    assert label_counts([]) == {}


@pytest.mark.parametrize("size", [0, 7, 500])
def test_sample_draws_several_splits_in_one_pass(size):
    stream = records(["yes"] * 90) + records(["no"] * 30, split="test")
    drawn = sample(iter(stream), {"train": size, "test": 5}, 3)
    assert len(drawn["train"]) == (min(size, 90) or 90)
    assert {each.answer for each in drawn["train"]} == {"yes"}
    assert [each.answer for each in drawn["test"]] == ["no"] * 5
    assert drawn == sample(iter(stream), {"train": size, "test": 5}, 3)
