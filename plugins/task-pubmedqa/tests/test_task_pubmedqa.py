"""The PubMedQA task: what it declares, and the records a router is learnt and tested on."""

import json
from importlib.resources import files

import mdkif_dataset_pubmedqa
import mdkif_task_pubmedqa as plugin
from mdkif import ConversionReport, convert

[TASK] = plugin.mdkif_tasks()
[PUBMEDQA] = mdkif_dataset_pubmedqa.mdkif_datasets()


def test_its_template_fills_the_default_of_its_category():
    template = files(TASK.package).joinpath("templates", TASK.template).read_text()
    assert f'{{% extends "{TASK.category}.jinja" %}}' in template


def test_it_is_scored_as_the_papers_score_it():
    assert (TASK.track, TASK.evaluator, TASK.metric, TASK.normaliser) == (
        "unseen data",
        "classification",
        "accuracy",
        "sum",
    )


def test_its_test_records_are_the_official_ones_with_one_label_each(tmp_path):
    article = {"QUESTION": "Does it help?", "CONTEXTS": ["It did."], "final_decision": "no"}
    (tmp_path / "ori_pqal.json").write_text(json.dumps({"1": article, "2": article}))
    (tmp_path / "test_ground_truth.json").write_text(json.dumps({"2": "no"}))
    records = list(convert(PUBMEDQA, tmp_path, ConversionReport(), TASK.source("pubmedqa").options))
    assert {record.id: record.split for record in records} == {"pubmedqa/1": "train", "pubmedqa/2": "test"}
    assert not TASK.multi_label
    assert all(len(record.labels) == 1 for record in records)
