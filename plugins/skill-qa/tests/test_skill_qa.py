"""The question answering skill: what it declares, and the records it is trained on."""

import json
from importlib.resources import files

import mdkif_dataset_pubmedqa
import mdkif_skill_qa as plugin
import pytest
from mdkif import BadInput, ConversionReport, convert

[SKILL] = plugin.mdkif_skills()
[PUBMEDQA] = mdkif_dataset_pubmedqa.mdkif_datasets()


def test_its_template_fills_the_default_of_its_category():
    template = files(SKILL.package).joinpath("templates", SKILL.template).read_text()
    assert '{% extends "question-answering.jinja" %}' in template
    assert SKILL.category == "question-answering"


def test_it_is_trained_on_short_questions_about_abstracts(tmp_path):
    article = {"QUESTION": "Does it help?", "CONTEXTS": ["It did."], "final_decision": "yes"}
    (tmp_path / "ori_pqal.json").write_text(json.dumps({"1": article}))
    (tmp_path / "test_ground_truth.json").write_text("{}")
    [record] = convert(PUBMEDQA, tmp_path, ConversionReport(), SKILL.source("pubmedqa").options)
    assert record.query == "Does it help? Choose from: yes; no; maybe."
    assert (record.context, record.answer, record.split) == ("It did.", "yes", "train")


def test_it_reads_no_other_data_set():
    with pytest.raises(BadInput, match="it reads pubmedqa"):
        SKILL.source("medqa")
