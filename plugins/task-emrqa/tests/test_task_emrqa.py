"""The emrQA task: its prompt, and that any of its answers is right."""

import pytest
from mdkif import Prediction
from mdkif.testing import assert_conforms, instructions_of, records_of
from mdkif_evaluator_generation import evaluate


def test_task_emrqa_conforms():
    assert_conforms("mdkif-task-emrqa")


def test_prompt_of_the_sample():
    first, *_ = instructions_of("emrqa")
    assert first.prompt == (
        "What is the dosage of calcium gluconate?\n"
        "\n"
        "SYNTHETIC RECORD , NO REAL PATIENT .\n"
        "MEDICATIONS :\n"
        "Calcium gluconate 1 g for sudden loss of kidney function .\n"
        "Azithromycin 250 mg for infection of the lungs .\n"
        "Furosemide 40 mg for failing heart ."
    )
    assert first.answer == "1 g"


def test_task_emrqa_every_answer_of_a_question_is_right():
    for record in records_of("emrqa"):
        for text, right in ((record.labels[-1].upper() + ".", 1), ("no such thing", 0)):
            prediction = Prediction(id=record.id, gold=record.labels, answer=record.answer, text=text)
            assert evaluate([prediction])["exact_match"] == right


@pytest.mark.parametrize("seed", ["paper", "paper:1"])
def test_task_emrqa_papers_policy_keeps_notes_whole(seed):
    splits = {}
    for record in records_of("emrqa", split_policy=seed):
        assert splits.setdefault(record.group, record.split) == record.split
