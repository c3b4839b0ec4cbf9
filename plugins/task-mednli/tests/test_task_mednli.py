"""The MedNLI task: its prompt, and the papers' sizes."""

import json

from mdkif import ConversionReport
from mdkif.testing import assert_conforms, instructions_of, records_of


def test_task_mednli_conforms():
    assert_conforms("mdkif-task-mednli")


def test_prompt_of_the_sample():
    first, *_ = instructions_of("mednli")
    assert first.prompt == (
        "Determine the relationship between the two sentences. Choose from: entailment; neutral; contradiction.\n"
        "\n"
        "sentence1: She takes warfarin for AF and has never had T2DM.\n"
        "sentence2: The patient does not have a diagnosis of type 2 diabetes."
    )
    assert first.answer == "entailment"


LABELS = ("entailment", "neutral", "contradiction")


def test_task_mednli_papers_sizes_add_up_to_the_official_test_file_and_keep_premises_whole(tmp_path):
    rows = (
        {"pairID": str(n), "gold_label": LABELS[n % 3], "sentence1": f"Note {n // 3}.", "sentence2": f"Claim {n}."}
        for n in range(1422)
    )
    path = tmp_path / "mli_test_v1.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    told = ConversionReport()
    found = records_of("mednli", path, split_policy="paper", report=told)
    assert len(found) + told.left_out["beyond the split policy's sizes"] == 1422
    assert abs(told.splits["test"] - 142) < 3
    splits = {}
    for record in found:
        assert splits.setdefault(record.group, record.split) == record.split
