"""The task organ-system: its prompt, and what is reached on its real records without reading them."""

from mdkif.testing import assert_conforms, instructions_of, records_of, shortcuts
from mdkif_dataset_hpo import installed

BEST = ("majority", 0.112)
"""The best shortcut and its accuracy on the test records."""


def test_task_organ_system_conforms():
    assert_conforms("mdkif-task-organ-system")


def test_prompt_of_the_sample():
    first, *_ = instructions_of("organ-system")
    assert first.prompt == (
        "Which system of the body does the finding belong to? Choose from: ear; eye; limbs; voice.\n\nFenrin mil"
    )
    assert first.answer == "eye"


def test_task_organ_system_shortcuts_on_the_real_records():
    records = [record for record in records_of("organ-system", installed().path) if record.split == "test"]
    assert len(records) >= 500
    found = shortcuts(records)
    best = max(found, key=found.get)
    assert (best, round(found[best], 3)) == BEST
