"""The CliNER task: its prompt, and that its metric can judge its answers."""

import pytest
from mdkif import Prediction
from mdkif.testing import assert_conforms, instructions_of, records_of
from mdkif_evaluator_entities import evaluate


def test_task_cliner_conforms():
    assert_conforms("mdkif-task-cliner")


def test_prompt_of_the_sample():
    first, *_ = instructions_of("cliner")
    assert first.prompt == (
        'Which problems, tests and treatments does the text name? Write one "type: entity" a line.\n'
        "\n"
        "A 45 year old man presented with very little urine output ."
    )
    assert first.answer == "problem: very little urine output"


def predictions(answered):
    return [
        Prediction(id=record.id, gold=record.labels, answer=record.answer, text=answered(record.answer))
        for record in records_of("cliner")
    ]


def test_task_cliner_own_answers_are_perfect_and_part_of_them_is_not():
    assert evaluate(predictions(str))["f1"] == 1
    entities = sum(len(each.gold) for each in predictions(str))
    kept = sum(bool(each.gold) for each in predictions(str))
    assert kept < entities
    first = evaluate(predictions(lambda answer: answer.splitlines()[0]))["f1"]
    assert first == pytest.approx(2 * kept / (kept + entities))


def test_task_cliner_notes_are_those_of_the_test_and_of_training():
    assert {record.split for record in records_of("cliner")} == {"train", "test"}
