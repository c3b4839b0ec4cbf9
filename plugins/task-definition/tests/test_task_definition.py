"""The task definition: its prompt, and what is reached on its real records without reading them."""

from mdkif.testing import assert_conforms, instructions_of, records_of, shortcuts
from mdkif_dataset_hpo import installed


def test_task_definition_conforms():
    assert_conforms("mdkif-task-definition")


def test_prompt_of_the_sample():
    first, *_ = instructions_of("definition")
    assert first.prompt == (
        "Which term does the text define? Choose from: Alnim pallun; Lunsop lunur; Lunma to; Fenrin "
        "mil.\n\nA vendor unlike others."
    )
    assert first.answer == "Fenrin mil"


def test_task_definition_shortcuts_on_the_real_records():
    records = [record for record in records_of("definition", installed().path) if record.split == "test"]
    assert len(records) >= 500
    found = shortcuts(records)
    assert all(abs(found[name] - 0.25) <= 0.05 for name in ("longest", "shortest", "nearest", "farthest", "likest")), (
        found
    )
    assert all(abs(len(option) - len(record.answer)) <= len(record.answer) / 4
               for record in records for option in record.options)  # fmt: skip
