"""The task lay-term: its prompt, and what is reached on its real records without reading them."""

from mdkif.testing import assert_conforms, instructions_of, records_of, shortcuts
from mdkif_dataset_hpo import installed


def test_task_lay_term_conforms():
    assert_conforms("mdkif-task-lay-term")


def test_prompt_of_the_sample():
    first, *_ = instructions_of("lay-term")
    assert first.prompt == (
        "Which medical term is meant by the patient's words? Choose from: Bracabe miltos; Caven "
        "carinmil; Venmaent nimvor; Alsopur milrin.\n\nVenmgl befen glrin milto"
    )
    assert first.answer == "Venmaent nimvor"


def test_task_lay_term_shortcuts_on_the_real_records():
    records = [record for record in records_of("lay-term", installed().path) if record.split == "test"]
    assert len(records) >= 500
    found = shortcuts(records)
    assert all(abs(found[name] - 0.25) <= 0.05 for name in ("longest", "shortest", "nearest", "farthest", "likest")), (
        found
    )
    assert all(abs(len(option) - len(record.answer)) <= len(record.answer) / 4
               for record in records for option in record.options)  # fmt: skip
