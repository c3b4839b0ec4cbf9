"""The task icd10-chapter: its prompt, and what is reached on its real records without reading them."""

from mdkif.testing import assert_conforms, instructions_of, records_of, shortcuts
from mdkif_dataset_icd10cm import installed

BEST = ("likest", 0.261)
"""The best shortcut and its accuracy on the test records."""


def test_task_icd10_chapter_conforms():
    assert_conforms("mdkif-task-icd10-chapter")


def test_prompt_of_the_sample():
    first, *_ = instructions_of("icd10-chapter")
    assert first.prompt == (
        "To which chapter of ICD-10-CM does the diagnosis belong? Choose from: Diseases of the winter; "
        "Diseases of the summer; Codes for special purposes.\n\nRed nose"
    )
    assert first.answer == "Diseases of the winter"


def test_task_icd10_chapter_shortcuts_on_the_real_records():
    records = [record for record in records_of("icd10-chapter", installed().path) if record.split == "test"]
    assert len(records) >= 500
    found = shortcuts(records)
    best = max(found, key=found.get)
    assert (best, round(found[best], 3)) == BEST
