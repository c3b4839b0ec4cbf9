"""The medication task: what it declares, and the instructions a router is learnt and tested on."""

import csv
from importlib.resources import files

import mdkif_dataset_mimic
import mdkif_task_medication as plugin
import pytest
from mdkif import BadInput, ConversionReport, convert, parse_choices
from mdkif.core.data.splits import policy
from mdkif.core.prompts.templates import Template

[TASK] = plugin.mdkif_tasks()
MIMIC, _ = mdkif_dataset_mimic.mdkif_datasets()
SOURCE = TASK.source("mimic-iii")
TEXT = "Chief Complaint:\nFever\n\nBrief Hospital Course:\nAspirin given.\n\nDischarge Medications:\nAspirin\n"


@pytest.fixture
def records(tmp_path):
    """The records of patients who all get the drugs, under a split policy."""

    def run(drugs, patients=30, name="official"):
        tables = {
            "NOTEEVENTS": (
                "ROW_ID,SUBJECT_ID,HADM_ID,CHARTDATE,CHARTTIME,STORETIME,CATEGORY,DESCRIPTION,CGID,ISERROR,TEXT",
                (
                    [n, n, 100 + n, "2150-01-01", "", "", "Discharge summary", "Report", "", "", TEXT]
                    for n in range(patients)
                ),
            ),
            "PRESCRIPTIONS": (
                "ROW_ID,SUBJECT_ID,HADM_ID,DRUG_TYPE,DRUG",
                ([0, n, 100 + n, "MAIN", drug] for n in range(patients) for drug in drugs),
            ),
        }
        for table, (header, lines) in tables.items():
            with (tmp_path / f"{table}.csv").open("w", newline="") as file:
                csv.writer(file).writerows([header.split(","), *lines])
        return list(convert(MIMIC, tmp_path, ConversionReport(), SOURCE.options, policy(name, SOURCE.sizes)))

    return run


def test_its_template_fills_the_default_of_its_category():
    template = files(TASK.package).joinpath("templates", TASK.template).read_text()
    assert f'{{% extends "{TASK.category}.jinja" %}}' in template


def test_it_is_a_multi_label_unseen_task_scored_by_auroc():
    declared = (TASK.track, TASK.evaluator, TASK.metric, TASK.normaliser, TASK.multi_label)
    assert declared == ("unseen task", "classification", "auroc", "pmi", True)


def test_it_reads_mimic_only_and_knows_the_papers_sizes_of_mimic_iii():
    assert TASK.reads == ("mimic-iii", "mimic-iv")
    assert [TASK.source(name).sizes for name in TASK.reads] == [(33225, 1200, 1282), None]
    with pytest.raises(BadInput, match="it reads mimic-iii, mimic-iv"):
        TASK.source("meqsum")


def test_an_instruction_does_not_show_the_drugs_it_asks_for(records):
    first, *_ = records(["Aspirin", "Heparin"])
    instruction = Template.of(TASK).render(first)
    query = "Which medications are given in this admission? Choose from: aspirin; heparin."
    assert instruction.prompt == f"{query}\n\nFever"
    assert parse_choices(instruction.answer, first.options) == ("aspirin", "heparin")


def test_ten_labels_are_listed_however_many_drugs_there_are(records):
    assert {len(record.options) for record in records([f"Drug {number}" for number in range(12)])} == {10}


def test_less_data_than_the_papers_is_divided_in_their_shares(records):
    splits = [record.split for record in records(["Aspirin"], 300, "paper")]
    assert {split: splits.count(split) for split in set(splits)} == {"train": 279, "dev": 10, "test": 11}
