"""The journal of a search: kept at once, read back exactly, unharmed by a broken last line."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mdkif.core.hashing import digest
from mdkif.core.routing.cache import EvaluationCache

NUMBERS = st.dictionaries(st.integers(0, 500), st.floats(allow_nan=False), min_size=1, max_size=5)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), NUMBERS), max_size=8))
def test_what_was_put_is_read_back_exactly(tmp_path_factory, entries):
    path = tmp_path_factory.mktemp("journal") / "folder" / "search.jsonl"
    journal, expected = EvaluationCache(path), {}
    for key, values in entries:
        journal.put(key, values)
        expected.setdefault(key, {}).update(values)
    for read in (journal, EvaluationCache(path)):
        assert {key: read.get(key) for key in "abc"} == {key: expected.get(key, {}) for key in "abc"}


def test_nothing_is_made_until_something_is_put(tmp_path):
    assert EvaluationCache(tmp_path / "a" / "b.jsonl").get("x") == {}
    assert list(tmp_path.iterdir()) == []


def test_an_entry_is_on_disk_as_soon_as_it_is_put(tmp_path):
    EvaluationCache(tmp_path / "j.jsonl").put("x", {0: 0.1 + 0.2})
    assert json.loads((tmp_path / "j.jsonl").read_text()) == {"at": "x", "values": {"0": 0.1 + 0.2}}


@pytest.mark.parametrize(
    "broken", ['{"at": "y", "val', "\0\0\0", "[]", '{"at": "y"}', '{"at": "y", "values": {"a": 1}}', "3", "\xff"]
)
def test_a_broken_line_is_left_out(tmp_path, broken):
    path = tmp_path / "j.jsonl"
    EvaluationCache(path).put("x", {0: 1.5})
    with path.open("a", encoding="latin-1") as file:
        file.write(broken)
    again = EvaluationCache(path)
    assert (again.get("x"), again.get("y")) == ({0: 1.5}, {})


def test_what_follows_a_broken_line_is_kept(tmp_path):
    path = tmp_path / "j.jsonl"
    path.write_text('{"at": "x", "val')
    EvaluationCache(path).put("z", {0: 2.5})
    assert EvaluationCache(path).get("z") == {0: 2.5}


def test_a_digest_tells_values_shapes_and_order_apart():
    flat = torch.arange(4.0)
    names = [
        digest(flat),
        digest(flat.reshape(2, 2)),
        digest(flat + 1e-6 * flat.roll(1)),
        digest("a", flat),
        digest(flat, "a"),
        digest([1, 2], [3]),
        digest([1], [2, 3]),
        digest([1, 2, 3]),
        digest("1, 2, 3"),
    ]
    assert len(set(names)) == len(names)
    assert digest(flat.double()) == digest(flat) == digest(torch.arange(8.0)[:4]), "of the float32 values"
    assert all(len(name) == 16 for name in names)
