"""The entity attributes skill: its prompt, and the ontology that stands in."""

from mdkif.testing import assert_conforms, instructions_of


def test_skill_ea_conforms():
    assert_conforms("mdkif-skill-ea")


def test_prompt_of_the_sample():
    first, *_ = instructions_of("ea")
    assert first.prompt == ("Explain the following medical concept.\n\nAlzheimer disease")
    assert first.answer == "A progressive brain disorder that slowly destroys memory and thinking skills."


def test_skill_ea_ontology_gives_the_same_instruction():
    umls, ontology = (instructions_of("ea", dataset=dataset) for dataset in ("umls", "disease-ontology"))
    assert {each.query for each in umls} == {each.query for each in ontology}
    told = {each.context: each.answer for each in ontology}
    assert told["heart disease"] == "A disease of the heart muscle, its valves or its vessels."
