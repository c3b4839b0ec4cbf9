"""The relation skill: its prompt, and the closed labels both of its data sets give it."""

from mdkif.testing import assert_conforms, instructions_of, records_of


def test_skill_re_conforms():
    assert_conforms("mdkif-skill-re")


def test_prompt_of_the_sample():
    first, *_ = instructions_of("re")
    assert first.prompt == (
        "How are e1 and e2 related? Choose from: e1 causes e2; e2 causes e1; e1 enables e2; e2 enables e1; e1 "
        "prevents e2; e2 prevents e1; e1 hinders e2; e2 hinders e1; other.\n"
        "\n"
        "Note by [**Known lastname 8985**]. <e1>Prostate enlargement</e1> led to <e2>urine infection</e2>."
    )
    assert first.answer == "e1 causes e2"


def test_skill_re_both_data_sets_tag_two_entities_and_list_their_own_labels():
    for dataset, labels in (("mimic-cause", 9), ("ddi", 5)):
        records = records_of("re", dataset=dataset)
        assert {len(record.options) for record in records} == {labels}
        for record in records:
            assert all(record.context.count(tag) == 1 for tag in ("<e1>", "</e1>", "<e2>", "</e2>"))
