"""The inference skill: what it declares, and the records it is trained on."""

import json
from importlib.resources import files

import mdkif_dataset_mednli
import mdkif_dataset_pubmedqa
import mdkif_skill_nli as plugin
import pytest
from mdkif import BadInput, ConversionReport, convert

[SKILL] = plugin.mdkif_skills()
[MEDNLI] = mdkif_dataset_mednli.mdkif_datasets()
[PUBMEDQA] = mdkif_dataset_pubmedqa.mdkif_datasets()


def test_its_template_fills_the_default_of_its_category():
    template = files(SKILL.package).joinpath("templates", SKILL.template).read_text()
    assert '{% extends "text-classification.jinja" %}' in template
    assert SKILL.category == "text-classification"


def test_it_is_trained_on_the_papers_three_labels(tmp_path):
    row = {"pairID": "1", "gold_label": "neutral", "sentence1": "He coughs.", "sentence2": "He smokes."}
    (tmp_path / "mli_train_v1.jsonl").write_text(json.dumps(row))
    [record] = convert(MEDNLI, tmp_path, ConversionReport(), SKILL.source("mednli").options)
    assert record.options == ("entailment", "neutral", "contradiction")
    assert (record.answer, record.split) == ("neutral", "train")


def test_its_open_stand_in_has_the_form_of_mednli(tmp_path):
    row = {"pairID": "1", "gold_label": "neutral", "sentence1": "He coughs.", "sentence2": "He smokes."}
    (tmp_path / "mli_train_v1.jsonl").write_text(json.dumps(row))
    article = {"QUESTION": "Does it help?", "CONTEXTS": ["It did."], "final_decision": "yes"}
    (tmp_path / "ori_pqal.json").write_text(json.dumps({"1": article}))
    (tmp_path / "test_ground_truth.json").write_text("{}")
    [mednli] = convert(MEDNLI, tmp_path, ConversionReport(), SKILL.source("mednli").options)
    [pubmedqa] = convert(PUBMEDQA, tmp_path, ConversionReport(), SKILL.source("pubmedqa").options)
    assert (mednli.query, mednli.options) == (pubmedqa.query, pubmedqa.options)
    assert pubmedqa.answer == "entailment"
    assert [line.split(":")[0] for line in pubmedqa.context.splitlines()] == ["sentence1", "sentence2"]


def test_pubmedqa_is_only_the_alternative_that_mednli_names():
    assert [source.dataset for source in SKILL.sources] == ["mednli"]
    assert [source.dataset for source in SKILL.alternatives] == [MEDNLI.stand_in] == ["pubmedqa"]


def test_it_draws_the_papers_numbers_of_pairs():
    assert SKILL.source("mednli").sizes == (1138, 142, 142)


def test_it_reads_no_other_data_set():
    with pytest.raises(BadInput, match="it reads mednli, pubmedqa"):
        SKILL.source("medqa")
