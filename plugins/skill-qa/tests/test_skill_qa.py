"""The question answering skill: its prompt and answer."""

from mdkif.testing import assert_conforms, instructions_of


def test_skill_qa_conforms():
    assert_conforms("mdkif-skill-qa")


def test_prompt_of_the_sample():
    first, *_ = instructions_of("qa")
    assert first.prompt == (
        "Is night shift work associated with a missed clinic visit in patients with Crohn disease? Choose from: "
        "yes; no; maybe.\n"
        "\n"
        "Patients with Crohn's enteritis often have perianal fistula. What else shapes their course is unclear.\n"
        "We followed 170 adults with Crohn's enteritis for 9 years.\n"
        "A missed clinic visit was seen in 31% of patients with night shift work and in 31% of the others "
        "(P=.76). Findings were the same in women and men."
    )
    assert first.answer == "no"
