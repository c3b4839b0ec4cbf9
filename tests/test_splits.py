"""Split policies: what each makes of the same records, and that no group straddles their splits."""

import json
from collections import Counter, defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mdkif import BadInput, ConversionReport, Record, Task
from mdkif.core.adapters.target import compose
from mdkif.core.data.sampling import sample
from mdkif.core.data.splits import hashed_split, policy
from verbs import adapt, evaluate

GROUPS = st.lists(st.integers(1, 5), min_size=1, max_size=60)


def some(groups):
    """Records of the given groups' sizes, none with an official split."""
    return [
        Record(id=f"{g}/{i}", query="q", answer="a", group=f"patient {g}")
        for g, size in enumerate(groups)
        for i in range(size)
    ]


def assigned(name, records, sizes=None):
    assign = policy(name, sizes)(lambda: iter(records))
    return {record.id: assign(record) for record in records}


def straddling(records, splits):
    found = defaultdict(set)
    for record in records:
        found[record.group].add(splits[record.id])
    return [group for group, names in found.items() if len(names) > 1]


@given(GROUPS, st.sampled_from(["official", "8:2", "paper", "paper:7"]))
def test_splits_divide_no_group_and_order_does_not_matter(groups, name):
    records = some(groups)
    splits = assigned(name, records, (20, 5, 5))
    assert straddling(records, splits) == []
    assert assigned(name, records[::-1], (20, 5, 5)) == splits


@pytest.mark.parametrize("name", ["official", "8:2"])
@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_splits_data_sets_own_split_stands(name, split):
    record = Record(id="1", query="q", answer="a", split=split)
    assert assigned(name, [record]) == {"1": split}


def test_splits_without_an_own_split_official_divides_80_10_10_and_the_other_8_to_2():
    records = some([1] * 5000)
    assert Counter(assigned("official", records).values()) == Counter(hashed_split(record.group) for record in records)
    eight_two = Counter(assigned("8:2", records).values())
    assert set(eight_two) == {"train", "test"}
    assert 0.18 < eight_two["test"] / 5000 < 0.22


def test_splits_paper_draws_the_papers_numbers_whatever_the_official_split():
    records = [Record(id=str(i), query="q", answer="a", split="train") for i in range(100)]
    splits = Counter(assigned("paper", records, (60, 20, 10)).values())
    assert splits == {"train": 60, "adapt": 20, "test": 10, "": 10}


@given(GROUPS, st.tuples(st.integers(1, 90), st.integers(1, 30), st.integers(1, 30)))
def test_splits_paper_never_draws_more_than_its_numbers_or_their_share(groups, sizes):
    records = some(groups)
    drawn = Counter(assigned("paper", records, sizes).values())
    share = min(1.0, len(records) / sum(sizes))
    for name, size in zip(("train", "adapt", "test"), sizes, strict=True):
        assert drawn[name] <= round(size * share)


def test_splits_paper_draws_the_same_shares_of_a_smaller_data_set():
    splits = Counter(assigned("paper", some([1] * 100), (800, 100, 100)).values())
    assert splits == {"train": 80, "adapt": 10, "test": 10}


def test_splits_another_seed_draws_other_records():
    records = some([1] * 200)
    first, second = (assigned(name, records, (100, 50, 50)) for name in ("paper", "paper:1"))
    assert assigned("paper:0", records, (100, 50, 50)) == first
    assert first != second
    assert Counter(first.values()) == Counter(second.values())


@pytest.mark.parametrize("name", ["", "papers", "paper:x", "paper:-1", "7:3"])
def test_splits_unknown_policy_is_refused_with_those_there_are(name):
    with pytest.raises(BadInput, match=rf"cannot be '{name}': choose from official, 8:2, paper or paper:SEED\."):
        policy(name, (1, 1, 1))


def test_splits_without_sizes_of_the_papers_their_8_to_2_stands():
    records = [*some([1] * 50), Record(id="own", query="q", answer="a", split="dev")]
    assert assigned("paper", records) == assigned("paper:3", records) == assigned("8:2", records)


def test_splits_count_what_is_beyond_the_sizes(workspace, plugins, mednli):
    """36 pairs; STAF-LLM's 1,138/142/142 are scaled down to them."""
    task, told = plugins.get(Task, "mednli"), ConversionReport()
    records = list(workspace.records(task, {"mednli": mednli}, told, None, "paper"))
    assert told.splits == Counter(record.split for record in records)
    assert told.splits["adapt"] == told.splits["test"] == round(142 * 36 / 1422)
    assert told.records + told.left_out["beyond the split policy's sizes"] == 36


def test_splits_router_learns_from_what_paper_keeps_for_it_and_the_test_is_another(skilled, plugins, mednli):
    done = adapt(skilled, "mednli", {"mednli": mednli}, router="uniform", settings={"split_policy": "paper"})
    assert done.composition.origin["settings"]["split_policy"] == "paper"
    records = list(skilled.records(plugins.get(Task, "mednli"), {"mednli": mednli}, ConversionReport(), None, "paper"))
    drawn = sample(records, {"adapt": 0, "test": 0}, 0)
    assert done.composition.origin["records"] == len(drawn["adapt"])
    assert not {r.group for r in drawn["adapt"]} & {r.group for r in drawn["test"]}


def test_splits_target_is_measured_under_the_policy_it_was_made_with(skilled, mednli):
    source = {"mednli": mednli}
    adapt(skilled, "mednli", source, router="uniform", settings={"split_policy": "8:2"}, name="mine")
    with pytest.raises(BadInput, match=r"'mine' cannot be measured .*'official': its router was made with '8:2'.*"):
        evaluate(skilled, "mednli", source, ["base", "mine"])
    [done] = evaluate(skilled, "mednli", source, ["mine"], split_policy="8:2")
    assert done.n > 0


def test_splits_skill_that_learnt_from_the_tasks_data_counts_too(skilled, mednli):
    card = skilled.store.skill(skilled.base.name, "nli") / "skill.json"
    facts = json.loads(card.read_text())
    card.write_text(json.dumps({**facts, "settings": {"split_policy": "8:2"}, "data": {"datasets": ["mednli"]}}))
    compose(skilled, "by-hand", {"nli": 0.5, "qa": 0.5})
    for target in ("skill:nli", "by-hand"):
        with pytest.raises(BadInput, match="the skill 'nli' was made with '8:2'"):
            evaluate(skilled, "mednli", {"mednli": mednli}, [target])
    assert evaluate(skilled, "mednli", {"mednli": mednli}, ["skill:qa"])
