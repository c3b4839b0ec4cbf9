"""The CliNER task: what it declares, the instructions it is measured on, and that its metric can judge them."""

import mdkif_dataset_i2b2
import mdkif_evaluator_entities
import mdkif_task_cliner as plugin
import pytest
from mdkif import BadInput, ConversionReport, Prediction, convert
from mdkif.core.prompts.templates import Template

[TASK] = plugin.mdkif_tasks()
[I2B2] = mdkif_dataset_i2b2.mdkif_datasets()
[ENTITIES] = mdkif_evaluator_entities.mdkif_evaluators()


def records(folder):
    """Two test notes in the official folders."""
    notes, reference = folder / "test_data", folder / "reference_standard_for_test_data" / "concepts"
    for place in (notes, reference):
        place.mkdir(parents=True)
    for number in ("0001", "0002"):
        (notes / f"{number}.txt").write_text("Sepsis , on Vancomycin .\n")
        (reference / f"{number}.con").write_text(
            'c="sepsis" 1:0 1:0||t="problem"\nc="vancomycin" 1:3 1:3||t="treatment"\n'
        )
    return list(convert(I2B2, folder, ConversionReport(), TASK.source("i2b2").options))


def test_it_is_unseen_data_measured_by_exact_f1():
    assert (TASK.track, TASK.evaluator, TASK.metric) == ("unseen data", ENTITIES.name, "f1")
    assert ENTITIES.metrics[TASK.metric]
    assert TASK.source("i2b2").sizes == (911, 208, 208)


def test_it_reads_i2b2_only():
    with pytest.raises(BadInput, match="it reads i2b2"):
        TASK.source("ncbi-disease")


def test_it_is_measured_on_the_test_notes(tmp_path):
    drawn = records(tmp_path)
    assert [record.split for record in drawn] == ["test", "test"]
    instruction = Template.of(TASK).render(drawn[0])
    assert instruction.prompt.endswith("a line.\n\nSepsis , on Vancomycin .")
    assert instruction.answer == "problem: Sepsis\ntreatment: Vancomycin"


def test_its_own_answers_are_perfect_and_half_of_them_is_not(tmp_path):
    def measured(answer):
        predictions = [
            Prediction(id=record.id, gold=record.labels, answer=record.answer, text=answer(record))
            for record in records(tmp_path / answer.__name__)
        ]
        return ENTITIES.load()(predictions)

    def whole(record):
        return Template.of(TASK).render(record).answer

    def half(record):
        return whole(record).splitlines()[0]

    assert measured(whole)["f1"] == 1
    assert measured(half)["f1"] == pytest.approx(2 / 3)
