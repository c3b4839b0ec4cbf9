"""The readmission task: what it declares, and the instructions a router is learnt and tested on."""

import csv
from importlib.resources import files

import mdkif_dataset_mimic
import mdkif_task_readmission as plugin
import pytest
from mdkif import BadInput, ConversionReport, convert
from mdkif.core.data.splits import policy
from mdkif.core.prompts.templates import Template

[TASK] = plugin.mdkif_tasks()
MIMIC, _ = mdkif_dataset_mimic.mdkif_datasets()
SOURCE = TASK.source("mimic-iii")


@pytest.fixture
def records(tmp_path):
    """The records of patients who each come twice, a month apart in even years of birth and sooner in odd ones."""

    def run(patients=4, name="official"):
        notes, stays = [], []
        for n in range(patients):
            for visit, month in enumerate(("01", "02" if n % 2 else "06")):
                admission = 100 + 10 * n + visit
                times = [f"2150-{month}-01 08:00:00", f"2150-{month}-09 08:00:00"]
                stays.append([0, n, admission, *times, "", "EMERGENCY", 0])
                summary = ["2150-01-09", "", "", "Discharge summary", "Report", "", "", f"Visit {visit}."]
                notes.append([0, n, admission, *summary])
        tables = {
            "NOTEEVENTS": (
                "ROW_ID,SUBJECT_ID,HADM_ID,CHARTDATE,CHARTTIME,STORETIME,CATEGORY,DESCRIPTION,CGID,ISERROR,TEXT",
                notes,
            ),
            "ADMISSIONS": (
                "ROW_ID,SUBJECT_ID,HADM_ID,ADMITTIME,DISCHTIME,DEATHTIME,ADMISSION_TYPE,HOSPITAL_EXPIRE_FLAG",
                stays,
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


def test_it_is_a_binary_unseen_task_scored_by_auroc():
    declared = (TASK.track, TASK.evaluator, TASK.metric, TASK.normaliser, TASK.multi_label)
    assert declared == ("unseen task", "classification", "auroc", "pmi", False)


def test_it_reads_mimic_only_and_knows_the_papers_sizes_of_mimic_iii():
    assert TASK.reads == ("mimic-iii", "mimic-iv")
    assert [TASK.source(name).sizes for name in TASK.reads] == [(5108, 580, 575), None]
    with pytest.raises(BadInput, match="it reads mimic-iii, mimic-iv"):
        TASK.source("mednli")


def test_an_instruction_asks_yes_or_no_about_the_note(records):
    instructions = {record.id: Template.of(TASK).render(record) for record in records()}
    soon = instructions["mimic-iii/readmission/110"]
    assert soon.prompt == "Will the patient be readmitted within 30 days? Choose from: yes; no.\n\nVisit 0."
    assert (soon.answer, instructions["mimic-iii/readmission/130"].answer) == ("yes", "yes")


def test_half_the_answers_are_yes_and_each_is_one_label(records):
    found = records(40)
    assert [record.answer for record in found].count("yes") == len(found) / 2 == 20
    assert {record.options for record in found} == {("yes", "no")}
    assert {len(record.labels) for record in found} == {1}


def test_the_papers_shares_keep_patients_whole(records):
    splits: dict[str, set[str]] = {}
    found = records(400, "paper")
    for record in found:
        splits.setdefault(record.group, set()).add(record.split)
    assert all(len(names) == 1 for names in splits.values())
    shares = [record.split for record in found]
    assert [shares.count(name) for name in ("dev", "test")] == [37, 37]
