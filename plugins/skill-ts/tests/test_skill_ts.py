"""The summarisation skill: its prompt and answer."""

from mdkif.testing import assert_conforms, instructions_of


def test_skill_ts_conforms():
    assert_conforms("mdkif-skill-ts")


def test_prompt_of_the_sample():
    first, *_ = instructions_of("ts")
    assert first.prompt == (
        "Summarise the question.\n"
        "\n"
        "My mother in [LOCATION] has lived with urine infection since [DATE]. The appointment with the "
        "specialist is only in two months. The pharmacy gave us ciprofloxacin. Is that the right medicine? Thank "
        "you, [NAME]"
    )
    assert first.answer == "Is ciprofloxacin used to treat urinary tract infection?"
