"""The task first-sentence: its prompt, and what is reached on its real records without reading them."""

import os
from pathlib import Path

import pytest
from mdkif.testing import assert_conforms, instructions_of, records_of, shortcuts

OPEN = Path(os.environ.get("MDKIF_TEST_DATA", Path(__file__).parents[4] / "shared" / "data")) / "MedQuAD"


def test_task_first_sentence_conforms():
    assert_conforms("mdkif-task-first-sentence")


def test_prompt_of_the_sample():
    first, *_ = instructions_of("first-sentence")
    assert first.prompt == (
        "How does Humbug end? Choose from: One in ten has a second bout in autumn.; Dry summers bring "
        "relief to most people.; Nearly all recover within a single year.; Singing in a choir cures it "
        "in six weeks.."
    )
    assert first.answer == "One in ten has a second bout in autumn."


@pytest.mark.skipif(not OPEN.is_dir(), reason=f"MedQuAD is not at {OPEN}; set MDKIF_TEST_DATA to its parent folder")
def test_task_first_sentence_shortcuts_on_the_real_records():
    records = [record for record in records_of("first-sentence", OPEN) if record.split == "test"]
    assert len(records) >= 500
    found = shortcuts(records)
    assert all(abs(found[name] - 0.25) <= 0.05 for name in ("longest", "shortest", "nearest", "farthest", "likest")), (
        found
    )
    assert all(abs(len(option) - len(record.answer)) <= len(record.answer) / 4
               for record in records for option in record.options)  # fmt: skip
