"""The is-a task: its prompt, and that it asks either way."""

from mdkif.testing import assert_conforms, instructions_of


def test_task_is_a_conforms():
    assert_conforms("mdkif-task-is-a")


def test_prompt_of_the_sample():
    first, *_ = instructions_of("is-a")
    assert first.prompt == (
        "Is the first concept a kind of the second? Choose from: yes; no.\n"
        "\n"
        "concept 1: lung disease\n"
        "concept 2: disease"
    )
    assert first.answer == "yes"


def test_task_is_a_pair_is_asked_either_way():
    yes, no = ({tuple(each.context.splitlines()) for each in instructions_of("is-a") if each.answer == answer}
               for answer in ("yes", "no"))  # fmt: skip
    assert ("concept 1: lung disease", "concept 2: disease") in yes
    assert not yes & no
