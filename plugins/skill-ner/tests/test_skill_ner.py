"""The entity recognition skill: its prompt, and the open abstracts that stand in."""

from mdkif import parse_entities
from mdkif.testing import assert_conforms, instructions_of, records_of


def test_skill_ner_conforms():
    assert_conforms("mdkif-skill-ner")


def test_prompt_of_the_sample():
    first, *_ = instructions_of("ner")
    assert first.prompt == (
        'Which problems, tests and treatments does the text name? Write one "type: entity" a line.\n'
        "\n"
        "A 45 year old man presented with very little urine output ."
    )
    assert first.answer == "problem: very little urine output"


def test_skill_ner_open_abstracts_name_entities_as_notes_do():
    for dataset, kinds in (("i2b2", {"problem", "test", "treatment"}), ("ncbi-disease", {"disease"})):
        named = [entity for each in instructions_of("ner", dataset=dataset) for entity in parse_entities(each.answer)]
        assert {entity.partition(": ")[0] for entity in named} == kinds
        assert len(named) == sum(len(record.spans) for record in records_of("ner", dataset=dataset))
