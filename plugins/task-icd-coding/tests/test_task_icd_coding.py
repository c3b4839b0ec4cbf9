"""The ICD coding task: what it declares, and the instructions a router is learnt and tested on."""

import csv

import mdkif_dataset_mimic
import mdkif_task_icd_coding as plugin
import pytest
from mdkif import BadInput, ConversionReport, convert
from mdkif.core.prompts.templates import Template

[TASK] = plugin.mdkif_tasks()
MIMIC, _ = mdkif_dataset_mimic.mdkif_datasets()
NOTES = [
    "ROW_ID",
    "SUBJECT_ID",
    "HADM_ID",
    "CHARTDATE",
    "CHARTTIME",
    "STORETIME",
    "CATEGORY",
    "DESCRIPTION",
    "CGID",
    "ISERROR",
    "TEXT",
]


def write(path, *table):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(table)


def records(folder, codes):
    """The records of six patients who all have the codes: one patient alone might not be a training patient."""
    patients = range(1, 7)
    notes = [
        [n, n, 100 + n, "2150-01-01", "", "", "Discharge summary", "Report", "", "", "Has both."] for n in patients
    ]
    diagnoses = [[0, n, 100 + n, place, code] for n in patients for place, code in enumerate(codes)]
    write(folder / "NOTEEVENTS.csv", NOTES, *notes)
    write(folder / "DIAGNOSES_ICD.csv", ["ROW_ID", "SUBJECT_ID", "HADM_ID", "SEQ_NUM", "ICD9_CODE"], *diagnoses)
    return list(convert(MIMIC, folder, ConversionReport(), TASK.source("mimic-iii").options))


def test_it_is_an_unseen_task_scored_by_auroc_on_calibrated_scores():
    declared = (TASK.track, TASK.evaluator, TASK.metric, TASK.normaliser)
    assert declared == ("unseen task", "classification", "auroc", "pmi")
    assert TASK.category == "text-classification"


def test_it_reads_mimic_only_and_knows_the_papers_sizes_of_mimic_iii():
    assert TASK.reads == ("mimic-iii", "mimic-iv")
    assert [TASK.source(name).options for name in TASK.reads] == [{"view": "icd"}] * 2
    assert [TASK.source(name).sizes for name in TASK.reads] == [(41315, 1500, 1584), None]
    with pytest.raises(BadInput, match="it reads mimic-iii, mimic-iv"):
        TASK.source("disease-ontology")


def test_several_diagnoses_may_be_right(tmp_path):
    first, *_ = records(tmp_path, ["4019", "4280"])
    assert TASK.multi_label
    instruction = Template.of(TASK).render(first)
    assert instruction.prompt == "Which diagnoses are documented? Choose from: 401.9; 428.0.\n\nHas both."
    assert instruction.answer == "401.9; 428.0"


def test_ten_labels_are_listed_however_many_codes_there_are(tmp_path):
    codes = [f"{number}0" for number in range(400, 412)]
    assert {len(record.options) for record in records(tmp_path, codes)} == {10}
