"""The document classification skill: its prompt, which lists every class, and several labels."""

from mdkif.testing import assert_conforms, instructions_of, records_of


def test_skill_mldc_conforms():
    assert_conforms("mdkif-skill-mldc")


def test_prompt_of_the_sample():
    first, *_ = instructions_of("mldc")
    assert first.prompt == (
        "Which types of medical concepts does the document mention? Choose from: Activities & Behaviors; "
        "Anatomy; Chemicals & Drugs; Concepts & Ideas; Devices; Disease or Syndrome; Disorders; Finding; "
        "Functional Concept; Genes & Molecular Sequences; Living Beings; Mental or Behavioral Dysfunction; "
        "Neoplastic Process; Objects; Occupations; Organic Chemical; Organizations; Pathologic Function; "
        "Pharmacologic Substance; Phenomena; Physiology; Procedures; Qualitative Concept; Sign or Symptom.\n"
        "\n"
        "Colchicine belongs to the class anti-inflammatory alkaloid. Whoever takes it should tell the "
        "pharmacist. It is given for gout."
    )
    assert first.answer == "Disease or Syndrome; Pharmacologic Substance"


def test_skill_mldc_both_data_sets_list_their_classes_and_give_several_labels():
    for dataset, classes in (("wikimed", 24), ("hoc", 10)):
        records = records_of("mldc", dataset=dataset)
        assert {len(record.options) for record in records} == {classes}
        assert max(len(record.labels) for record in records) > 1
