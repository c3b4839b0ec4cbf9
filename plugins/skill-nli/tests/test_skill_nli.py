"""The inference skill: its prompt, and that its open stand-in looks like MedNLI."""

from mdkif.testing import assert_conforms, instructions_of, records_of


def test_skill_nli_conforms():
    assert_conforms("mdkif-skill-nli")


def test_prompt_of_the_sample():
    first, *_ = instructions_of("nli")
    assert first.prompt == (
        "Determine the relationship between the two sentences. Choose from: entailment; neutral; contradiction.\n"
        "\n"
        "sentence1: She takes warfarin for AF and has never had T2DM.\n"
        "sentence2: The patient does not have a diagnosis of type 2 diabetes."
    )
    assert first.answer == "entailment"


def test_skill_nli_open_stand_in_has_the_form_of_mednli():
    mednli, pubmedqa = (records_of("nli", dataset=dataset) for dataset in ("mednli", "pubmedqa"))
    assert {record.query for record in mednli} == {record.query for record in pubmedqa}
    assert {record.options for record in pubmedqa} == {("entailment", "neutral", "contradiction")}
    for record in (*mednli, *pubmedqa):
        assert [line.partition(":")[0] for line in record.context.splitlines()] == ["sentence1", "sentence2"]
