"""The reading comprehension skill: its prompt, and the cloze that stands in."""

from mdkif.testing import assert_conforms, instructions_of


def test_skill_mrc_conforms():
    assert_conforms("mdkif-skill-mrc")


def test_prompt_of_the_sample():
    first, *_ = instructions_of("mrc")
    assert first.prompt == (
        "Fill in @placeholder: Think of @placeholder in patients with very little urine output.\n"
        "\n"
        "Sudden loss of kidney function in a 48-year-old woman\n"
        "Very little urine output was noted.\n"
        "Serum creatinine showed a creatinine of 3.4 mg/dL, up from 0.9 two days before.\n"
        "Calcium gluconate was given for acute renal failure.\n"
        "Fluttering in the chest was noted.\n"
        "Electrocardiogram showed absent P waves on the electrocardiogram."
    )
    assert first.answer == "acute renal failure"


def test_skill_mrc_stand_in_asks_as_clicr_does():
    for dataset in ("clicr", "medquad"):
        for each in instructions_of("mrc", dataset=dataset):
            assert each.query.startswith("Fill in @placeholder: ")
            assert each.query.count("@placeholder") > 1
