"""The emrQA task: what it declares, how it reads, and the papers' sizes."""

import json

import mdkif_dataset_emrqa
import mdkif_evaluator_generation
import mdkif_task_emrqa as plugin
import pytest
from mdkif import BadInput, ConversionReport, Prediction, convert
from mdkif.core.data.splits import policy
from mdkif.core.prompts.templates import Template

[TASK] = plugin.mdkif_tasks()
[EMRQA] = mdkif_dataset_emrqa.mdkif_datasets()
[GENERATION] = mdkif_evaluator_generation.mdkif_evaluators()


def records(folder, notes=1, **changes):
    """The records of notes that each hold one question with two right answers."""
    answers = [
        {"answer_start": [1, place], "text": text, "evidence": "He takes lasix and aspirin .", "evidence_start": 1}
        for place, text in ((2, "lasix"), (4, "aspirin"))
    ]
    asked = {"question": ["What does he take?"], "id": [], "answers": [{**a, **changes} for a in answers]}
    paragraphs = [
        {"note_id": f"{number}", "context": ["He takes lasix and aspirin .\n"], "qas": [asked]}
        for number in range(notes)
    ]
    (folder / "data.json").write_text(json.dumps({"data": [{"title": "medication", "paragraphs": paragraphs}]}))
    return lambda **given: list(convert(EMRQA, folder, ConversionReport(), TASK.source("emrqa").options, **given))


def test_it_is_unseen_data_scored_by_exact_match():
    assert (TASK.name, TASK.track, TASK.evaluator, TASK.metric) == (
        "emrqa",
        "unseen data",
        "generation",
        "exact_match",
    )
    assert TASK.metric in GENERATION.metrics
    assert TASK.category == "question-answering"


def test_it_reads_emrqa_only():
    with pytest.raises(BadInput, match="it reads emrqa"):
        TASK.source("medquad")


def test_the_instruction_is_the_question_and_the_lines_around_its_answer(tmp_path):
    [record] = records(tmp_path)()
    instruction = Template.of(TASK).render(record)
    assert instruction.prompt == "What does he take?\n\nHe takes lasix and aspirin ."
    assert instruction.answer == "lasix"


@pytest.mark.parametrize(("text", "right"), [("Lasix.", 1), ("aspirin", 1), ("lasix and aspirin", 0)])
def test_any_of_its_answers_is_right(tmp_path, text, right):
    [record] = records(tmp_path)()
    prediction = Prediction(id=record.id, gold=record.labels, answer=record.answer, text=text)
    assert GENERATION.load()([prediction])[TASK.metric] == right


def test_the_policy_of_the_papers_draws_their_shares(tmp_path):
    sizes = TASK.source("emrqa").sizes
    assert sizes == (4629, 580, 580)
    drawn = records(tmp_path, 100)(splits=policy("paper", sizes))
    splits = [record.split for record in drawn]
    assert [splits.count(name) for name in ("train", "dev", "test")] == [80, 10, 10]
