"""What was learnt from is known by keyed hashes, kept from routers and tests, and never told."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mdkif import AdaptSettings, BadInput, ConversionReport, Record, Skill, Task, Toolkit, TrainSettings
from mdkif.core.data.learnt import Learnt, unseen
from mdkif.core.data.splits import RESERVED, policy
from verbs import adapt, evaluate

TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)


def record(name, query="q", context="", **more):
    return Record(id=str(name), query=query, answer="a", context=context, **more)


@given(st.lists(TEXTS, unique=True, max_size=12), st.text(max_size=80))
def test_learnt_has_what_was_learnt_from_by_id_or_text_and_nothing_else(texts, key):
    learnt = [record(i, query=f"{text} {i}") for i, text in enumerate(texts)]
    known = Learnt.of(learnt, key)
    assert all(known.has(each) for each in learnt)
    assert all(known.has(replace(each, id="other")) and known.has(replace(each, query="other")) for each in learnt)
    assert not known.has(record("another", "another"))
    assert Learnt.read(json.loads(json.dumps(known.as_json()))) == known


def test_learnt_text_is_query_and_context_whatever_case_and_spaces():
    known = Learnt.of([record(1, "Is  it\n late?", "A Note.")], "k")
    assert known.has(record(2, "is it late?", " a note."))
    assert not known.has(record(2, "is it late?", "a note"))
    assert not known.has(record(2, "is it late?"))


def test_learnt_hashes_are_keyed_short_and_say_no_order():
    records = [record(i, f"question {i}") for i in range(40)]
    one, other = Learnt.of(records, "one").as_json(), Learnt.of(records[::-1], "other").as_json()
    assert one == Learnt.of(records[::-1], "one").as_json()
    assert len(one["ids"]) == len(one["texts"]) == 40 * 16
    assert not set(cut(one["ids"]) + cut(one["texts"])) & set(cut(other["ids"]) + cut(other["texts"]))


def cut(joined):
    return [joined[i : i + 16] for i in range(0, len(joined), 16)]


@pytest.mark.parametrize("value", [None, [], {"key": "k"}, {"key": "k", "ids": 3, "texts": ""}])
def test_learnt_damaged_hashes_are_one_sentence(value):
    with pytest.raises(BadInput, match="hashes of what was learnt from are damaged: make it again"):
        Learnt.read(value)


def test_learnt_records_are_refused_left_out_or_kept_and_counted():
    records = [record(i, f"question {i}") for i in range(10)]
    learnt = {"the skill 'a'": Learnt.of(records[:2], "a"), "the skill 'b'": Learnt.of(records[1:5], "b")}
    counted = ConversionReport()
    with pytest.raises(BadInput, match=r"4 of 10 things are records that the skill 'b' learnt from: .*--overlap"):
        unseen(records, "things", learnt, "refuse", counted.leave_out)
    assert unseen(records, "things", learnt, "leave-out", counted.leave_out) == records[5:]
    assert unseen(records, "things", learnt, "keep", counted.leave_out) == records
    assert counted.left_out == {"learnt from before": 5, "kept, though learnt from before": 5}
    assert unseen(records[5:], "things", learnt, "refuse", counted.leave_out) == records[5:]


@pytest.mark.parametrize("name", ["official", "8:2"])
def test_splits_reserve_a_share_of_the_training_groups_and_nothing_else(name):
    records = [record(i, group=f"g{i // 3}", split=("", "train", "dev", "test")[i % 4 if i < 400 else 1])
               for i in range(6000)]  # fmt: skip
    plain, reserving = (policy(name, reserve=share)(lambda: iter(records)) for share in (0.0, RESERVED))
    moved = [each for each in records if plain(each) != reserving(each)]
    assert {plain(each) for each in moved} == {"train"}
    assert {reserving(each) for each in moved} == {"adapt"}
    expected = RESERVED * sum(plain(each) == "train" for each in records)
    assert abs(len(moved) - expected) < 4 * math.sqrt(3 * expected)
    groups = {each.group for each in moved}
    assert not [r for r in records if r.group in groups and reserving(r) == "train"], "whole groups"
    every = policy(name, reserve=1.0)(lambda: iter(records))
    assert [every(each) for each in records] == [{"train": "adapt"}.get(plain(each), plain(each)) for each in records]


@pytest.fixture
def kit(tmp_path, shared_base, plugins, pubmedqa):
    """A kit whose skill `qa` has learnt from all the training records it is given."""
    made = Toolkit(tmp_path / "store", shared_base.path, plugins=plugins)
    made.workspace.__dict__["base"] = shared_base
    made.train("qa", {"pubmedqa": pubmedqa}, trainer=made.trainer("lora"), settings=TrainSettings(steps=1, records=500))
    return made


def splits_of(kit, kind, name, source):
    return kit.workspace.drawn(kit.plugins.get(kind, name), source, {"train": 0, "adapt": 0, "test": 0}, 0,
                               ConversionReport())  # fmt: skip


def test_train_keeps_hashes_of_what_was_learnt_from_and_leaves_the_adaptation_records(kit, pubmedqa):
    [card] = kit.show("qa")[0]["trained"]
    drawn = splits_of(kit, Skill, "qa", {"pubmedqa": pubmedqa})
    known = Learnt.read(json.loads((Path(card["path"]) / "learnt.json").read_text()))
    assert len(known.ids) == card["data"]["records"] == len(drawn["train"])
    assert all(map(known.has, drawn["train"]))
    assert not any(map(known.has, drawn["adapt"] + drawn["test"]))


def test_adapt_draws_what_was_kept_from_the_skills_and_refuses_what_was_not(kit, pubmedqa):
    source = {"pubmedqa": pubmedqa}
    drawn = splits_of(kit, Task, "pubmedqa", source)
    few = AdaptSettings(shots=8)
    made = kit.adapt("pubmedqa", source, router="uniform", settings=few).composition
    known = Learnt.read(made.learnt)
    assert sum(map(known.has, drawn["adapt"])) == made.origin["records"] == 8
    assert not any(map(known.has, drawn["train"]))
    with pytest.raises(BadInput, match=r"8 of 8 'train' records of 'pubmedqa' are records that the skill 'qa' learnt"):
        kit.adapt("pubmedqa", source, router="uniform", settings=replace(few, split="train"))
    kept = kit.adapt("pubmedqa", source, router="uniform", settings=replace(few, split="train", overlap="keep"))
    assert kept.composition.origin["data"]["left_out"] == {"kept, though learnt from before": 8}


def test_adapt_draws_from_all_training_records_where_no_skill_read_the_data(skilled, mednli):
    made = adapt(skilled, "mednli", {"mednli": mednli}, router="uniform", settings={"shots": "24"}).composition
    assert made.origin["records"] == 24


def test_adapt_without_a_record_kept_for_it_says_what_to_do(kit, tmp_path):
    few = tmp_path / "few.jsonl"
    few.write_text("".join(json.dumps({"question": f"Is it {i}?", "answer": "yes"}) + "\n" for i in range(3)))
    kit.train("few", {"records": few}, trainer=kit.trainer("lora"), settings=TrainSettings(steps=1, batch_size=2))
    with pytest.raises(BadInput, match=r"None of the training groups of 'mine' is kept .* split 'adapt'"):
        kit.adapt("mine", {"records": few}, router="uniform", skills=["few"])


def test_evaluate_refuses_what_skill_or_router_learnt_from_and_counts_what_it_leaves_out(kit, pubmedqa):
    source = {"pubmedqa": pubmedqa}
    kit.adapt("pubmedqa", source, router="uniform", settings=AdaptSettings(shots=8), name="mine")
    whole = len(splits_of(kit, Task, "pubmedqa", source)["adapt"])
    for split, who in (("train", "the skill 'qa' of 'skill:qa'"), ("adapt", "its router of 'mine'")):
        with pytest.raises(BadInput, match=rf"of \d+ '{split}' records of 'pubmedqa' are records that {who} learnt"):
            evaluate(kit.workspace, "pubmedqa", source, ["base", "skill:qa", "mine"], split=split)
    done = evaluate(kit.workspace, "pubmedqa", source, ["base", "mine"], split="adapt", overlap="leave-out")
    assert [each.n for each in done] == [whole - 8] * 2
    assert json.loads(done[0].report.read_text())["left_out"] == {"learnt from before": 8}
    [clean] = evaluate(kit.workspace, "pubmedqa", source, ["mine"])
    assert clean.n == 20


def test_evaluate_finds_a_test_file_that_was_copied_from_training(kit, pubmedqa, tmp_path):
    copied = tmp_path / "copied.jsonl"
    trained = splits_of(kit, Skill, "qa", {"pubmedqa": pubmedqa})["train"][:5]
    copied.write_text("".join(
        json.dumps({"id": f"new {i}", "question": each.query, "context": each.context, "answer": each.answer,
                    "split": "test"}) + "\n" for i, each in enumerate(trained)
    ))  # fmt: skip
    with pytest.raises(BadInput, match="5 of 5 'test' records of 'copied' are records that the skill 'qa'"):
        kit.evaluate("copied", {"records": copied}, ["skill:qa"])
    assert kit.evaluate("copied", {"records": copied}, ["base"])[0].n == 5


def test_show_and_list_say_nothing_of_the_hashes(kit, pubmedqa):
    made = kit.adapt("pubmedqa", {"pubmedqa": pubmedqa}, router="uniform", settings=AdaptSettings(shots=8)).composition
    shown = json.dumps([kit.show(made.name), kit.list("trained"), kit.list("compositions")], default=str)
    assert made.learnt["ids"][:16] not in shown
