"""The entity synonymy skill: its prompt, and the ontology that stands in."""

from mdkif.testing import assert_conforms, instructions_of


def test_skill_es_conforms():
    assert_conforms("mdkif-skill-es")


def test_prompt_of_the_sample():
    first, *_ = instructions_of("es")
    assert first.prompt == (
        "Do the two medical terms mean the same? Choose from: yes; no.\n"
        "\n"
        "term 1: Alzheimer disease\n"
        "term 2: Alzheimer dementia"
    )
    assert first.answer == "yes"


def test_skill_es_ontology_gives_the_same_labels_in_turn():
    umls, ontology = (instructions_of("es", dataset=dataset) for dataset in ("umls", "disease-ontology"))
    assert {each.query for each in umls} == {each.query for each in ontology}
    assert ontology[0].context == "term 1: lung disease\nterm 2: disease of the lungs"
    for found in (umls, ontology):
        assert [each.answer for each in found] == ["yes", "no"] * (len(found) // 2)
