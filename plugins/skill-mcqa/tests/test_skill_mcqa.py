"""The multiple-choice skill: its prompt, and that each of its data sets gives it choices."""

import pytest
from mdkif.testing import assert_conforms, instructions_of, records_of


def test_skill_mcqa_conforms():
    assert_conforms("mdkif-skill-mcqa")


def test_prompt_of_the_sample():
    first, *_ = instructions_of("mcqa")
    assert first.prompt == (
        "What are the symptoms of Breast cancer? Choose from: People with depression may have loss of "
        "interest in hobbies, poor appetite with tearfulness and early morning awakening.; Common features "
        "include dry cough with enlarged hilar nodes, tender red nodules on the shins and painful red eye "
        "from uveitis.; Typical signs of breast cancer are bloody nipple discharge, dimpling of the breast "
        "skin and painless breast lump.; People with hyperlipidemia may have tendon xanthomas, yellow fatty "
        "deposits on the eyelids and corneal arcus.."
    )
    assert first.answer == (
        "Typical signs of breast cancer are bloody nipple discharge, dimpling of the breast skin and painless"
        " breast lump."
    )


@pytest.mark.parametrize(("dataset", "choices"), [("medquad", 4), ("medqa", 5), ("medmcqa", 4)])
def test_skill_mcqa_every_question_has_its_data_sets_number_of_choices(dataset, choices):
    assert {len(record.options) for record in records_of("mcqa", dataset=dataset)} == {choices}


def test_skill_mcqa_medmcqa_asks_as_medqa_does():
    asked = [{record.query.partition(" Choose from: ")[0] for record in records_of("mcqa", dataset=dataset)}
             for dataset in ("medqa", "medmcqa")]  # fmt: skip
    assert asked == [{"Which answer is right?"}] * 2
