"""The conversation skill: its prompt, and the open dialogues that stand in."""

from mdkif.testing import assert_conforms, instructions_of


def test_skill_mc_conforms():
    assert_conforms("mdkif-skill-mc")


def test_prompt_of_the_sample():
    first, *_ = instructions_of("mc")
    assert first.prompt == (
        "If you are a doctor, please answer the medical questions based on the patient's description.\n"
        "\n"
        "Dear doctor, I am a 70 year old man. For some days I have had pale conjunctivae. My tests showed a "
        "ferritin of 6 ng/mL. What could this be? Thank you."
    )
    assert first.answer == (
        "Hi, welcome. What you describe fits iron deficiency anemia, also called IDA: a shortage of healthy red "
        "blood cells caused by too little iron. Do not change any dose on your own. Regards, Chat Doctor."
    )


def test_skill_mc_open_dialogues_are_instructed_in_the_same_words():
    queries = [
        {each.query for each in instructions_of("mc", dataset=name)} for name in ("healthcaremagic", "chatdoctor")
    ]
    assert queries[0] == queries[1]
