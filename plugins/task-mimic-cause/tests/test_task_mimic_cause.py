"""The MIMIC-Cause task: its prompt, with nine labels, and the papers' shares."""

import csv

from mdkif import ConversionReport
from mdkif.testing import assert_conforms, instructions_of, records_of


def test_task_mimic_cause_conforms():
    assert_conforms("mdkif-task-mimic-cause")


def test_prompt_of_the_sample():
    first, *_ = instructions_of("mimic-cause")
    assert first.prompt == (
        "How are e1 and e2 related? Choose from: e1 causes e2; e2 causes e1; e1 enables e2; e2 enables e1; e1 "
        "prevents e2; e2 prevents e1; e1 hinders e2; e2 hinders e1; other.\n"
        "\n"
        "Note by [**Known lastname 8985**]. <e1>Prostate enlargement</e1> led to <e2>urine infection</e2>."
    )
    assert first.answer == "e1 causes e2"


def test_task_mimic_cause_papers_policy_draws_their_shares(tmp_path):
    with (tmp_path / "cause.csv").open("w", newline="") as file:
        rows = ([f"<e1>Drug {n}</e1> caused <e2>pain</e2>.", str(n % 9)] for n in range(2714))
        csv.writer(file).writerows([["Text", "Label"], *rows])
    told = ConversionReport()
    found = records_of("mimic-cause", tmp_path / "cause.csv", split_policy="paper", report=told)
    assert told.splits == {"train": 1286, "adapt": 714, "test": 714}
    assert {len(record.labels) for record in found} == {1}
