"""The entity-entity relations skill: its prompt, and the ontology that stands in."""

from mdkif.testing import assert_conforms, instructions_of


def test_skill_er_conforms():
    assert_conforms("mdkif-skill-er")


def test_prompt_of_the_sample():
    first, *_ = instructions_of("er")
    assert first.prompt == (
        "Determine the relation between the two medical concepts. Choose from: may be treated by; may treat; "
        "disease has finding; is finding of disease; isa; finding site of; cause of; due to.\n"
        "\n"
        "concept 1: Alzheimer disease\n"
        "concept 2: brain disease"
    )
    assert first.answer == "isa"


def test_skill_er_ontology_asks_for_three_relations_of_its_own():
    instructions = instructions_of("er", dataset="disease-ontology")
    assert {instruction.query for instruction in instructions} == {
        "Determine the relation between the two medical concepts. "
        "Choose from: is a kind of; is a broader term than; is not related to."
    }
    told = {instruction.context: instruction.answer for instruction in instructions}
    assert told["concept 1: lung disease\nconcept 2: asthma"] == "is a broader term than"
    assert told["concept 1: angina pectoris\nconcept 2: heart disease"] == "is a kind of"
    assert told["concept 1: pneumonia\nconcept 2: angina pectoris"] == "is not related to"
