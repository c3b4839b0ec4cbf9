"""The inference skill: what it declares, and the records it is trained on."""

import json
from importlib.resources import files

import mdkif_dataset_mednli
import mdkif_skill_nli as plugin
import pytest
from mdkif import BadInput, Conversion, convert

[SKILL] = plugin.mdkif_skills()
[MEDNLI] = mdkif_dataset_mednli.mdkif_datasets()


def test_its_template_fills_the_default_of_its_category():
    template = files(SKILL.package).joinpath("templates", SKILL.template).read_text()
    assert '{% extends "text-classification.jinja" %}' in template
    assert SKILL.category == "text-classification"


def test_it_is_trained_on_the_papers_three_labels(tmp_path):
    row = {"pairID": "1", "gold_label": "neutral", "sentence1": "He coughs.", "sentence2": "He smokes."}
    (tmp_path / "mli_train_v1.jsonl").write_text(json.dumps(row))
    [record] = convert(MEDNLI, tmp_path, Conversion(), SKILL.source("mednli").options)
    assert record.options == ("entailment", "neutral", "contradiction")
    assert (record.answer, record.split) == ("neutral", "train")


def test_it_reads_no_other_data_set():
    with pytest.raises(BadInput, match="it reads mednli"):
        SKILL.source("pubmedqa")
