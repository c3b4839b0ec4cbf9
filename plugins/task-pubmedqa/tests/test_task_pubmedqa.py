"""The PubMedQA task: its prompt, and that it is measured on the official test articles."""

import json

from mdkif.testing import assert_conforms, instructions_of, records_of, sample_of


def test_task_pubmedqa_conforms():
    assert_conforms("mdkif-task-pubmedqa")


def test_prompt_of_the_sample():
    first, *_ = instructions_of("pubmedqa")
    assert first.prompt == (
        "Is night shift work associated with a missed clinic visit in patients with Crohn disease? Choose from: "
        "yes; no; maybe.\n"
        "\n"
        "Patients with Crohn's enteritis often have perianal fistula. What else shapes their course is unclear.\n"
        "We followed 170 adults with Crohn's enteritis for 9 years.\n"
        "A missed clinic visit was seen in 31% of patients with night shift work and in 31% of the others "
        "(P=.76). Findings were the same in women and men."
    )
    assert first.answer == "no"


def test_task_pubmedqa_test_records_are_the_official_ones():
    truth = json.loads((sample_of("pubmedqa") / "data" / "test_ground_truth.json").read_text())
    tested = {record.id.partition("/")[2] for record in records_of("pubmedqa") if record.split == "test"}
    assert tested == set(truth)
