"""The medication task: its prompt, which does not show the drugs it asks for, and the papers' shares."""

import csv

from mdkif.testing import assert_conforms, instructions_of, records_of


def test_task_medication_conforms():
    assert_conforms("mdkif-task-medication")


def test_prompt_of_the_sample():
    first, *_ = instructions_of("medication")
    assert first.prompt == (
        "Which medications are given in this admission? Choose from: amlodipine; azithromycin; calcium "
        "gluconate; levofloxacin; ezetimibe; lisinopril; metformin; methotrexate; pantoprazole; prednisone.\n"
        "\n"
        "Metallic taste with nausea This 45 year old man also had a creatinine of 3.4 mg/dL, up from 0.9 two "
        "days before, consistent with ARF. No evidence of migraine disorder. Breathlessness when lying flat, "
        "takes furosemide. 1. Furosemide 40 mg TAB PO"
    )
    assert first.answer == "azithromycin; calcium gluconate; levofloxacin"


def test_task_medication_ten_drugs_are_listed_and_nothing_of_the_stay_is_read():
    for dataset in ("mimic-iii", "mimic-iv"):
        for record in records_of("medication", dataset=dataset):
            assert len(record.options) == 10
            assert "Discharge" not in record.context


def test_task_medication_less_data_than_the_papers_is_divided_in_their_shares(tmp_path):
    text = "Chief Complaint:\nFever\n\nBrief Hospital Course:\nAspirin given.\n\nDischarge Medications:\nAspirin\n"
    tables = {
        "NOTEEVENTS": (
            "ROW_ID,SUBJECT_ID,HADM_ID,CHARTDATE,CHARTTIME,STORETIME,CATEGORY,DESCRIPTION,CGID,ISERROR,TEXT",
            ([n, n, 100 + n, "2150-01-01", "", "", "Discharge summary", "Report", "", "", text] for n in range(300)),
        ),
        "PRESCRIPTIONS": (
            "ROW_ID,SUBJECT_ID,HADM_ID,DRUG_TYPE,DRUG",
            ([0, n, 100 + n, "MAIN", "Aspirin"] for n in range(300)),
        ),
    }
    for table, (header, lines) in tables.items():
        with (tmp_path / f"{table}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([header.split(","), *lines])
    found = records_of("medication", tmp_path, split_policy="paper")
    assert {record.context for record in found} == {"Fever"}
    splits = [record.split for record in found]
    assert {split: splits.count(split) for split in set(splits)} == {"train": 279, "adapt": 10, "test": 11}
