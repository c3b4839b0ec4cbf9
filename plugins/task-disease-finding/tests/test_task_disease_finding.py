"""The task disease-finding: its prompt, and what is reached on its real records without reading them."""

from mdkif.testing import assert_conforms, instructions_of, records_of, shortcuts
from mdkif_dataset_hpo import installed


def test_task_disease_finding_conforms():
    assert_conforms("mdkif-task-disease-finding")


def test_prompt_of_the_sample():
    first, *_ = instructions_of("disease-finding")
    assert first.prompt == (
        "Which finding belongs to the disease? Choose from: Mato alvorsop; Mabra entca; Mabe glsur; "
        "Nimrins nimca.\n\nUrs syndrome"
    )
    assert first.answer == "Mabra entca"


def test_task_disease_finding_shortcuts_on_the_real_records():
    records = [record for record in records_of("disease-finding", installed().path) if record.split == "test"]
    assert len(records) >= 500
    found = shortcuts(records)
    assert all(abs(found[name] - 0.25) <= 0.05 for name in ("longest", "shortest", "nearest", "farthest", "likest")), (
        found
    )
    assert all(abs(len(option) - len(record.answer)) <= len(record.answer) / 4
               for record in records for option in record.options)  # fmt: skip
