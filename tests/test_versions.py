"""Versions: nothing trained or composed is lost unless it is asked for, and what is there can be seen and removed."""

import json

import pytest
from mdkif import BadInput, EvaluateSettings
from mdkif.core.adapters.library import library_of
from mdkif.core.adapters.target import compose
from verbs import adapt, blend, evaluate, kit_of, load_composition, resolve, train_skill

SHORT = {"steps": "1", "batch_size": "2", "max_length": "256"}


@pytest.fixture
def train(workspace, mednli):
    def train(seed=0, **options):
        return train_skill(workspace, "nli", {"mednli": mednli}, "lora", SHORT, seed, **options)

    return train


def versions(workspace, name="nli"):
    return [each.version for each in library_of(workspace).versions[name]]


def test_training_with_other_settings_keeps_the_older_version(workspace, train):
    first, second = train(0), train(1)
    assert versions(workspace) == [second.version, first.version]
    assert second.path.name == "nli"
    assert (workspace.store.skills("tiny") / f"nli@{first.version}" / "adapter_model.safetensors").exists()


def test_training_as_before_makes_that_version_the_newest_without_work(workspace, train):
    first, second = train(0), train(1)
    again = train(0)
    assert again.version == first.version
    assert again.path.name == "nli"
    assert versions(workspace) == [first.version, second.version]
    assert again.card["created"] == first.card["created"]


def test_replace_takes_the_older_version_away(workspace, train):
    train(0)
    second = train(1, replace=True)
    assert versions(workspace) == [second.version]


def test_skill_and_version_name_one_training(workspace, train):
    first, second = train(0), train(1)
    assert resolve(workspace, "skill:nli").versions == {"nli": second.version}
    assert resolve(workspace, f"skill:nli@{first.version[:6]}").versions == {"nli": first.version}
    with pytest.raises(BadInput, match=rf"no version named 'nli@{'0' * 8}'.*mdkif list trained"):
        resolve(workspace, f"skill:nli@{'0' * 8}")
    with pytest.raises(BadInput, match="'nli' is named in two versions"):
        compose(workspace, "x", {f"nli@{first.version}": 0.5, f"nli@{second.version}": 0.5})


def test_composition_computes_with_the_versions_it_was_made_of(workspace, train):
    first = train(0)
    made = compose(workspace, "half", {"nli": 0.5})
    bank, _ = blend(workspace, "half")
    before = {path: update.down.clone() for path, update in bank.fused(made.tensor(bank)).items()}
    second = train(1)
    assert resolve(workspace, "half").versions == {"nli": first.version}
    bank, _ = blend(workspace, "half")
    assert all(update.down.equal(before[path]) for path, update in bank.fused(made.tensor(bank)).items())
    assert compose(workspace, "newer", {"nli": 0.5}).adapters == {"nli": second.version}


def test_composition_of_the_same_name_keeps_the_older_one_unless_it_is_the_same(skilled):
    first = compose(skilled, "both", {"qa": 0.7, "nli": 0.3})
    compose(skilled, "both", {"qa": 0.7, "nli": 0.3})
    folder = skilled.store.compositions("tiny")
    assert [path.name for path in folder.iterdir()] == ["both.json"]
    second = compose(skilled, "both", {"qa": 0.1, "nli": 0.3})
    assert load_composition(skilled, "both") == second
    assert load_composition(skilled, f"both@{first.version}") == first
    compose(skilled, "both", {"qa": 0.2}, replace=True)
    assert sorted(path.name for path in folder.iterdir()) == ["both.json", f"both@{first.version}.json"]


def test_remove_takes_away_what_it_names_and_nothing_a_composition_needs(workspace, train):
    kit = kit_of(workspace)
    first, second = train(0), train(1)
    compose(workspace, "half", {f"nli@{first.version}": 0.5})
    with pytest.raises(BadInput, match=r"The skill 'nli' is a part of half: remove the composition first"):
        kit.remove("skill:nli")
    assert [path.name for path in kit.remove(f"skill:nli@{second.version}")] == ["nli"]
    assert versions(workspace) == [first.version]
    assert resolve(workspace, "skill:nli").versions == {"nli": first.version}, "the newest there is"
    kit.remove("half")
    kit.remove("skill:nli")
    assert library_of(workspace).versions == {}
    with pytest.raises(BadInput, match="There is no composition, report or trained skill named 'half'"):
        kit.remove("half")
    with pytest.raises(BadInput, match="There is no trained skill named 'nli'"):
        kit.remove("skill:nli")


def test_list_and_show_know_what_the_store_holds(workspace, train, pubmedqa):
    kit = kit_of(workspace)
    first, second = train(0), train(1)
    adapt(workspace, "pubmedqa", {"pubmedqa": pubmedqa}, router="single", settings={"shots": "4"})
    [done] = evaluate(workspace, "pubmedqa", {"pubmedqa": pubmedqa}, ["pubmedqa-single"], limit=5)
    rows = kit.list("trained")
    assert [(row["name"], row["version"]) for row in rows] == [
        ("nli", second.version), (f"nli@{first.version}", first.version),
    ]  # fmt: skip
    [made] = kit.list("compositions")
    assert (made["name"], made["task"], made["router"], made["weights"]) == (
        "pubmedqa-single", "pubmedqa", "single", {"nli": 1.0},
    )  # fmt: skip
    [report] = kit.list("reports")
    assert (report["task"], report["with"], report["n"], report["split"]) == ("pubmedqa", "pubmedqa-single", 5, "test")
    assert report["name"] == done.report.stem
    [card] = kit.show("pubmedqa-single")
    assert card["kind"] == "composition"
    assert card["origin"]["references"].keys() == {"base", "nli", "uniform"}
    assert card["results"] == [{"task": "pubmedqa", "n": 5, "split": "test", "metrics": dict(done.metrics)}]


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_damaged_card_or_composition_or_report_stops_nothing_but_itself(skilled, pubmedqa, text):
    kit = kit_of(skilled)
    compose(skilled, "both", {"qa": 0.5, "er": 0.5})
    (skilled.store.skill("tiny", "nli") / "skill.json").write_text(text)
    skilled.store.composition("tiny", "broken").write_text(text)
    skilled.store.reports.mkdir()
    skilled.store.report("old").write_text(text)
    assert [row["name"] for row in kit.list("compositions")] == ["both"]
    assert {row["name"] for row in kit.list("trained")} == {"qa", "er"}
    assert kit.list("reports") == []
    assert kit.show("nli")[0]["trained"] == []
    done = adapt(skilled, "pubmedqa", {"pubmedqa": pubmedqa}, router="uniform", settings={"shots": "2"})
    assert set(done.composition.weights) == {"qa", "er"}
    with pytest.raises(BadInput, match=r"skill\.json.* is not a readable skill card"):
        resolve(skilled, "skill:nli")
    with pytest.raises(BadInput, match=r"broken\.json"):
        resolve(skilled, "broken")


# Reports


def test_runs_of_one_task_that_differ_in_anything_have_reports_of_their_own(skilled, pubmedqa):
    source, seen = {"pubmedqa": pubmedqa}, set()
    runs = ({}, {"seed": 1}, {"limit": 5}, {"split": "dev"}, {"split_policy": "8:2"}, {"normaliser": "character"})
    for settings in runs:
        [done] = evaluate(skilled, "pubmedqa", source, ["base"], **({"limit": 4} | settings))
        seen.add(done.report)
    assert len(seen) == len(runs)
    [again] = evaluate(skilled, "pubmedqa", source, ["base"], limit=4)
    assert again.report in seen
    assert {path.name for path in skilled.store.reports.iterdir()} == {path.name for path in seen}


def test_report_says_what_was_asked(skilled, mednli):
    [done] = evaluate(skilled, "mednli", {"mednli": mednli}, ["skill:qa"], seed=3, limit=2, split="dev")
    body = json.loads(done.report.read_text())
    assert body["settings"] == {
        "limit": 2, "seed": 3, "split": "dev", "split_policy": "official", "answer": "score", "normaliser": None,
        "read": "all", "max_length": 512, "overlap": "refuse", "shots": 0, "shots_seed": None,
    }  # fmt: skip
    assert body["data"] == {"datasets": ["mednli"], "options": {}}
    assert body["versions"] == {"qa": library_of(skilled).get("qa").version}
    assert body["dtype"] == "float32"


def test_names_that_look_alike_have_reports_of_their_own(skilled, pubmedqa):
    compose(skilled, "skill-qa", {"qa": 0.5})
    first, second = evaluate(skilled, "pubmedqa", {"pubmedqa": pubmedqa}, ["skill:qa", "skill-qa"], limit=3)
    assert first.report != second.report


# Cards that follow the run


def test_card_records_format_dtype_and_device(train):
    card = train().card
    assert (card["format"], card["dtype"], card["device"]) == ("chat", "float32", "cpu")


def test_skill_of_another_format_is_refused_by_name(workspace, train, pubmedqa):
    train()
    workspace.format = "plain"
    for verb in (
        lambda: adapt(workspace, "pubmedqa", {"pubmedqa": pubmedqa}, ["nli"], "single", {"shots": "2"}),
        lambda: evaluate(workspace, "pubmedqa", {"pubmedqa": pubmedqa}, ["skill:nli"]),
    ):
        with pytest.raises(BadInput, match="'nli' was trained with chat prompts, and these are plain: add"):
            verb()


def test_skill_of_another_wording_is_refused_by_name(workspace, train, pubmedqa):
    train()
    workspace.store.templates.mkdir(parents=True)
    own = "{% extends 'text-classification.jinja' %}{% block query %}Decide! {{ query }}{% endblock %}"
    (workspace.store.templates / "nli.jinja").write_text(own)
    with pytest.raises(BadInput, match=r"'nli' was trained with another wording of its template 'nli\.jinja'"):
        evaluate(workspace, "pubmedqa", {"pubmedqa": pubmedqa}, ["skill:nli"])


def test_composition_of_another_wording_or_format_of_its_task_is_refused_by_name(skilled, pubmedqa):
    source = {"pubmedqa": pubmedqa}
    adapt(skilled, "pubmedqa", source, ["qa"], "single", {"shots": "2"})
    skilled.format = "plain"
    with pytest.raises(BadInput, match="'pubmedqa-single' was adapted with chat prompts, and these are plain"):
        evaluate(skilled, "pubmedqa", source, ["pubmedqa-single"])
    skilled.format = "auto"
    skilled.store.templates.mkdir(parents=True)
    own = "{% extends 'question-answering.jinja' %}{% block query %}Decide! {{ query }}{% endblock %}"
    (skilled.store.templates / "pubmedqa.jinja").write_text(own)
    with pytest.raises(BadInput, match="'pubmedqa-single' was adapted with another wording of the template 'pubmedqa"):
        evaluate(skilled, "pubmedqa", source, ["pubmedqa-single"])


def test_settings_of_evaluate_check_themselves():
    with pytest.raises(BadInput, match="The setting split cannot be 'tset': use one of train, dev, adapt, test"):
        EvaluateSettings(split="tset")
    with pytest.raises(BadInput, match="The setting limit cannot be '-1': give a number from 0"):
        EvaluateSettings(limit=-1)
    with pytest.raises(BadInput, match="The setting seed cannot be '1': give a whole number"):
        EvaluateSettings(seed="1")
