"""The verbs in Python: what the command line prints, as values."""

import inspect
import re
from dataclasses import asdict
from pathlib import Path

import pytest
from mdkif import (
    AdaptSettings,
    BadInput,
    ConversionReport,
    EvaluateSettings,
    Record,
    Skill,
    Task,
    Toolkit,
    TrainSettings,
)
from mdkif.core.contract.catalogue import catalogue
from mdkif.core.contract.declarations import PromptedSpec
from mdkif.core.contract.discovery import Plugins


@pytest.fixture
def kit(tmp_path, plugins):
    return Toolkit(tmp_path / "store", "tiny", plugins=plugins, dtype="float32", device="cpu")


def test_toolkit_store_is_made_only_when_something_is_written(kit, pubmedqa):
    kit.list()
    kit.show("nli")
    kit.preview("pubmedqa", {"pubmedqa": pubmedqa}, 1)
    assert not kit.workspace.store.root.exists()


def test_toolkit_lists_are_sorted_by_kind_and_name_and_take_both_numbers(kit):
    assert kit.list("skills") == kit.list("skill")
    rows = kit.list()
    assert [row["name"] for row in kit.list("skills")] == sorted(row["name"] for row in kit.list("skills"))
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    assert kinds == ["skill", "task", "dataset", "trainer", "router", "baseline", "evaluator", "model", "recipe"]
    assert [row["name"] for row in kit.list("commands")]


def test_toolkit_facts_of_a_row_are_those_of_its_kind(kit):
    task = next(row for row in kit.list("tasks") if row["name"] == "pubmedqa")
    assert (task["track"], task["metric"], task["category"]) == ("unseen data", "accuracy", "question-answering")
    assert next(row for row in kit.list("models") if row["name"] == "tiny")["parameters"] == "0.2M"


def test_toolkit_what_is_known_and_not_installed_is_named_with_its_distribution(tmp_path):
    bare = Toolkit(tmp_path, plugins=Plugins([]))
    assert bare.list() == []
    assert {(row["kind"], row["name"]) for row in bare.list(available=True)} == {(e.kind, e.name) for e in catalogue()}
    assert [row["name"] for row in bare.list("trainers", available=True)] == ["adalora", "lora"]
    with pytest.raises(BadInput, match=r"^The skill 'nli' is not installed: pip install mdkif-skill-nli\.$"):
        bare.show("nli")
    with pytest.raises(BadInput, match=r"^The skill 'nli' is not installed"):
        bare.plugins.get(PromptedSpec, "nli")
    with pytest.raises(BadInput, match=r"^The dataset 'mednli' is not installed: pip install mdkif-dataset-mednli\.$"):
        bare.convert("mednli", tmp_path, ConversionReport())


@pytest.mark.parametrize(
    ("installed", "verb", "message"),
    [
        ("mdkif-task-mednli", lambda kit, path: kit.evaluate("mednli", {"mednli": path}, ["base"]),
         "The evaluator 'classification' is not installed: pip install mdkif-evaluator-classification."),
        ("mdkif-task-mednli", lambda kit, path: kit.adapt("mednli", {"mednli": path}, router="gradient"),
         "The router 'gradient' is not installed: pip install mdkif-router-gradient."),
        ("mdkif-skill-nli", lambda kit, path: kit.train("nli", {"mednli": path}),
         "The trainer 'adalora' is not installed: pip install mdkif-trainer-adalora."),
        ("mdkif-skill-nli,mdkif-trainer-adalora", lambda kit, path: kit.train("nli", {"mednli": path}),
         "The dataset 'mednli' is not installed: pip install mdkif-dataset-mednli."),
        ("mdkif-demo", lambda kit, path: kit.pull("tiny"),
         "The model 'tiny' is not installed: pip install mdkif-model-tiny."),
        ("mdkif-demo", lambda kit, path: kit.predict("base", [Record(id="1", query="Q", answer="")]),
         "The model 'tiny' is not installed: pip install mdkif-model-tiny."),
        ("", lambda kit, path: kit.train("nli", {"mednli": path}),
         "The skill 'nli' is not installed: pip install mdkif-skill-nli."),
    ],
)  # fmt: skip
def test_toolkit_every_verb_answers_what_is_not_installed_with_what_to_install(
    tmp_path, monkeypatch, installed, verb, message
):
    monkeypatch.setenv("MDKIF_PLUGINS", installed)
    with pytest.raises(BadInput, match=f"^{re.escape(message)}$"):
        verb(Toolkit(tmp_path, "tiny"), tmp_path)


def test_toolkit_one_kind_is_not_taken_for_another(kit):
    assert isinstance(kit.plugins.get(Skill, "nli"), Skill)
    assert isinstance(kit.plugins.get(Task, "pubmedqa"), Task)
    with pytest.raises(BadInput, match="There is no task named 'nli'"):
        kit.plugins.get(Task, "nli")
    with pytest.raises(BadInput, match="There is no skill or task named 'lora'"):
        kit.plugins.get(PromptedSpec, "lora")


def test_toolkit_every_card_can_be_shown(kit):
    for row in kit.list():
        cards = kit.show(row["name"])
        assert row["kind"] in {card["kind"] for card in cards}
        assert all(card["title"] for card in cards)


def test_toolkit_name_of_two_kinds_has_two_cards(kit):
    assert {card["kind"] for card in kit.show("pubmedqa")} == {"task", "dataset"}


def test_toolkit_settings_of_trainers_and_routers_are_on_their_cards(kit):
    [card] = kit.show("cma-es")
    defaults = {row["name"]: row["default"] for row in card["settings"]}
    assert defaults["evaluations"] == 120
    assert kit.show("uniform")[0]["settings"] == []
    assert {row["name"]: row["default"] for row in card["stage_settings"]} == asdict(AdaptSettings())


def test_toolkit_preview_takes_the_users_own_template(kit, pubmedqa):
    kit.workspace.store.templates.mkdir(parents=True)
    own = "{% extends 'question-answering.jinja' %}{% block query %}Decide! {{ query }}{% endblock %}"
    (kit.workspace.store.templates / "pubmedqa.jinja").write_text(own)
    [row] = kit.preview("pubmedqa", {"pubmedqa": pubmedqa}, 1)
    assert row["query"].startswith("Decide! Does ")


def test_toolkit_predict_takes_records_as_they_are_and_refuses_those_that_do_not_fit(kit):
    records = [Record(id="a", query="Is it? Choose from: yes; no.", answer="", options=("yes", "no"))]
    [answer] = kit.predict("base", records)
    assert answer.text in ("yes", "no")
    assert len(answer.scores) == 2
    with pytest.raises(BadInput, match=r"1 record\(s\) do not fit into 5 tokens"):
        kit.predict("base", records, max_length=5)


def test_toolkit_base_must_be_named(tmp_path, plugins):
    with pytest.raises(BadInput, match="No base model was named: add --base"):
        Toolkit(tmp_path, plugins=plugins).compose("x", {"nli": 1.0})


def test_toolkit_runs_both_stages_in_python(kit, mednli, pubmedqa):
    skill = kit.train("nli", {"mednli": mednli}, trainer="lora", settings=TrainSettings(steps=2, batch_size=2))
    assert skill.path == kit.workspace.store.skill("tiny", "nli")
    adapted = kit.adapt("pubmedqa", {"pubmedqa": pubmedqa}, router="single",
                        settings=AdaptSettings(shots=2, scale="one"))  # fmt: skip
    assert adapted.composition.summary() == {"nli": 1.0}
    base, blend = kit.evaluate(
        "pubmedqa", {"pubmedqa": pubmedqa}, ["base", "pubmedqa-single"], settings=EvaluateSettings(limit=4)
    )
    assert (base.n, blend.n) == (4, 4)
    [row] = kit.show("nli")[0]["trained"]
    assert row["steps"] == 2
    assert not [p for p in kit.workspace.base.model.parameters() if p.requires_grad]


def test_toolkit_wrong_target_is_found_before_any_is_measured(kit, pubmedqa):
    with pytest.raises(BadInput, match="There is no composition named 'nothing'"):
        kit.evaluate("pubmedqa", {"pubmedqa": pubmedqa}, ["base", "nothing"])
    assert not list(kit.workspace.store.root.glob("reports/*"))


def test_toolkit_verbs_say_what_they_do():
    for name, verb in inspect.getmembers(Toolkit, inspect.isfunction):
        assert name.startswith("_") or inspect.getdoc(verb), name


def test_toolkit_store_may_be_text(plugins):
    assert Toolkit("somewhere", plugins=plugins).workspace.store.root == Path("somewhere")


def test_toolkit_gives_records_as_a_dataset_in_memory(kit, mednli, tmp_path, monkeypatch):
    """The same records, typed, and nothing of them in a cache."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    records = list(kit.convert("mednli", mednli, ConversionReport()))
    made = kit.dataset("mednli", mednli, ConversionReport())
    assert [Record.from_dict(row) for row in made] == records
    assert made.filter(lambda row: row["split"] == "test", keep_in_memory=True).num_rows == 6
    assert made.cache_files == []
    assert not (tmp_path / "cache").exists() or not list((tmp_path / "cache").rglob("*.arrow"))


def test_toolkit_no_records_are_an_empty_dataset_with_the_same_columns(kit, mednli, tmp_path):
    (tmp_path / "empty").mkdir()
    for name in ("train", "dev", "test"):
        (tmp_path / "empty" / f"mli_{name}_v1.jsonl").write_text("")
    empty = kit.dataset("mednli", tmp_path / "empty", ConversionReport())
    assert empty.num_rows == 0
    assert empty.column_names == kit.dataset("mednli", mednli, ConversionReport()).column_names
