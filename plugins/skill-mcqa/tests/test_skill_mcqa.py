"""The multiple-choice skill: its prompt, and that each of its data sets gives it choices."""

import pytest
from mdkif.testing import assert_conforms, instructions_of, records_of


def test_skill_mcqa_conforms():
    assert_conforms("mdkif-skill-mcqa")


def test_prompt_of_the_sample():
    first, *_ = instructions_of("mcqa")
    assert first.prompt == (
        "What is (are) Breast cancer? Choose from: Alzheimer disease is a progressive brain disorder that slowly "
        "destroys memory and thinking skills.; Breast cancer is a cancer that starts in the tissue of the breast.; "
        "Iron deficiency anemia, also known as IDA or iron-deficient blood, is a shortage of healthy red blood cells "
        "caused by too little iron.; Hypothyroidism, also known as thyroid hormone deficiency or thyroid "
        "underactivity, is a condition in which the thyroid gland does not make enough thyroid ...."
    )
    assert first.answer == "Breast cancer is a cancer that starts in the tissue of the breast."


@pytest.mark.parametrize(("dataset", "choices"), [("medquad", 4), ("medqa", 5), ("medmcqa", 4)])
def test_skill_mcqa_every_question_has_its_data_sets_number_of_choices(dataset, choices):
    assert {len(record.options) for record in records_of("mcqa", dataset=dataset)} == {choices}


def test_skill_mcqa_medmcqa_asks_as_medqa_does():
    asked = [{record.query.partition(" Choose from: ")[0] for record in records_of("mcqa", dataset=dataset)}
             for dataset in ("medqa", "medmcqa")]  # fmt: skip
    assert asked == [{"Which answer is right?"}] * 2
