"""The evaluation cache: kept at once, read back exactly, unharmed by a broken last line, keyed by all that counts."""

import json
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mdkif.core.adapters.library import library_of
from mdkif.core.contract.declarations import Evaluator, Task
from mdkif.core.hashing import digest
from mdkif.core.routing import cache as caching
from mdkif.core.routing.cache import EvaluationCache, losses_key, metric_key
from mdkif.core.tuning.choices import Choices
from verbs import bank_of, task_encoder

NUMBERS = st.dictionaries(st.integers(0, 500), st.floats(allow_nan=False), min_size=1, max_size=5)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), NUMBERS), max_size=8))
def test_cache_reads_back_exactly_what_was_put(tmp_path_factory, entries):
    path = tmp_path_factory.mktemp("cache") / "folder" / "search.jsonl"
    cache, expected = EvaluationCache(path), {}
    for key, values in entries:
        cache.put(key, values)
        expected.setdefault(key, {}).update(values)
    for read in (cache, EvaluationCache(path)):
        assert {key: read.get(key) for key in "abc"} == {key: expected.get(key, {}) for key in "abc"}


def test_cache_makes_nothing_until_something_is_put(tmp_path):
    assert EvaluationCache(tmp_path / "a" / "b.jsonl").get("x") == {}
    assert list(tmp_path.iterdir()) == []


def test_cache_entry_is_on_disk_as_soon_as_it_is_put(tmp_path):
    EvaluationCache(tmp_path / "c.jsonl").put("x", {0: 0.1 + 0.2})
    assert json.loads((tmp_path / "c.jsonl").read_text()) == {"key": "x", "values": {"0": 0.1 + 0.2}}


@pytest.mark.parametrize(
    "broken", ['{"key": "y", "val', "\0\0\0", "[]", '{"key": "y"}', '{"key": "y", "values": {"a": 1}}', "3", "\xff"]
)
def test_cache_leaves_out_a_broken_line(tmp_path, broken):
    path = tmp_path / "c.jsonl"
    EvaluationCache(path).put("x", {0: 1.5})
    with path.open("a", encoding="latin-1") as file:
        file.write(broken)
    again = EvaluationCache(path)
    assert (again.get("x"), again.get("y")) == ({0: 1.5}, {})


def test_cache_keeps_what_follows_a_broken_line(tmp_path):
    path = tmp_path / "c.jsonl"
    path.write_text('{"key": "x", "val')
    EvaluationCache(path).put("z", {0: 2.5})
    assert EvaluationCache(path).get("z") == {0: 2.5}


def test_digest_tells_values_shapes_and_order_apart():
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


SKILLS = ["qa", "nli"]


@pytest.fixture
def bank(ready):
    return bank_of(ready, SKILLS)


@pytest.fixture
def keys(ready, bank, examples):
    """A function that names what a loss and a metric depend on, with some of it changed."""
    task = ready.plugins.get(Task, "pubmedqa")

    def keys(bank=bank, examples=examples, task=task, length=512, metric="accuracy", loss="cross-entropy"):
        encoder = ready.encoder(ready.template(task), length)
        versions = {name: each.version for name, each in library_of(ready).choose(bank.names).items()}
        losses = losses_key(ready.base, bank, versions, examples, loss)
        return losses, metric_key(ready, bank, versions, examples, task, encoder, metric)

    return keys


def test_keys_are_the_same_for_the_same(keys, ready):
    assert keys() == keys(bank=bank_of(ready, SKILLS))
    assert len(set(keys())) == 2


def test_keys_of_two_losses_differ(keys):
    assert keys()[0] != keys(loss="choice")[0]
    assert keys()[1] == keys(loss="choice")[1]


def test_signature_changes_with_what_makes_a_loss_of_likelihoods(ready, examples):
    task, encoder = ready.plugins.get(Task, "pubmedqa"), task_encoder(ready, "pubmedqa")
    relabelled = replace(examples[0], record=replace(examples[0].record, labels=("maybe",)))
    tasks = [task, *(replace(task, normaliser=each) for each in ("token-mean", "character", "pmi"))]
    choices = [Choices.of(each, encoder, examples) for each in (*tasks, replace(task, multi_label=True))]
    choices.append(Choices.of(task, encoder, [relabelled, *examples[1:]]))
    assert len({each.signature for each in choices}) == len(choices)
    assert Choices.of(task, encoder, examples).signature == choices[0].signature


@pytest.mark.parametrize("what", ["adapter", "order", "granularity", "tokens", "dtype", "base", "computation"])
def test_keys_change_with_all_that_a_loss_depends_on(keys, ready, examples, put_skill, adapters, monkeypatch, what):
    before = keys()
    names, granularity = SKILLS[::-1] if what == "order" else SKILLS, "layer" if what == "granularity" else "skill"
    bank = bank_of(ready, names, granularity)
    if what == "adapter":
        put_skill(ready, "qa", adapters["nli"])
    if what == "dtype":
        monkeypatch.setattr(type(ready.base.model), "dtype", torch.bfloat16)
    if what == "base":
        monkeypatch.setattr(ready.base, "fingerprint", "0123456789abcdef")
    if what == "computation":
        monkeypatch.setattr(caching, "COMPUTATION", caching.COMPUTATION + 1)
    changed = [*examples[:-1], replace(examples[-1], answer=(5, 6))]
    assert not set(before) & set(keys(bank, changed if what == "tokens" else examples))


def test_keys_change_with_what_only_a_metric_depends_on(keys, ready, examples, monkeypatch):
    task = ready.plugins.get(Task, "pubmedqa")
    loss, metric = keys()
    relabelled = replace(examples[0], record=replace(examples[0].record, labels=("maybe",), answer="maybe"))
    owner = ready.plugins.owner(next(d for d, _ in ready.plugins.all(Evaluator) if d.name == task.evaluator))
    changed = [
        keys(task=replace(task, normaliser="pmi")),
        keys(task=replace(task, multi_label=True)),
        keys(task=replace(task, max_new_tokens=7)),
        keys(task=replace(task, template="question-answering.jinja")),
        keys(task=replace(task, evaluator="generation"), metric="exact_match"),
        keys(metric="log_loss"),
        keys(length=100),
        keys(examples=[relabelled, *examples[1:]]),
    ]
    monkeypatch.setattr(owner, "version", "99")
    changed.append(keys())
    assert {each[0] for each in changed} == {loss}
    assert len({metric, *(each[1] for each in changed)}) == 1 + len(changed)
