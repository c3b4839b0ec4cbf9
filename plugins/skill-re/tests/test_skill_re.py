"""The relation skill: what it declares, and the closed labels both of its data sets give it."""

from importlib.resources import files

import mdkif_dataset_ddi
import mdkif_dataset_mimic_cause
import mdkif_skill_re as plugin
import pytest
from mdkif import BadInput, ConversionReport, convert, parse_choices

[SKILL] = plugin.mdkif_skills()
[CAUSE] = mdkif_dataset_mimic_cause.mdkif_datasets()
[DDI] = mdkif_dataset_ddi.mdkif_datasets()
SENTENCE = (
    '<document id="d"><sentence text="A helps B."><entity id="0" charOffset="0-0" text="A"/>'
    '<entity id="1" charOffset="8-8" text="B"/><pair id="p" e1="0" e2="1" ddi="true" type="int"/></sentence></document>'
)


def records(dataset, source):
    return list(convert(dataset, source, ConversionReport(), SKILL.source(dataset.name).options))


@pytest.fixture
def both(tmp_path):
    """One record of either data set."""
    (tmp_path / "cause.csv").write_text('Text,Label\n<e1>A</e1> helps <e2>B</e2>.,"Enable(E1,E2)"\n')
    (tmp_path / "d.xml").write_text(SENTENCE)
    return [*records(CAUSE, tmp_path / "cause.csv"), *records(DDI, tmp_path / "d.xml")]


def test_its_template_fills_the_default_of_its_category():
    template = files(SKILL.package).joinpath("templates", SKILL.template).read_text()
    assert '{% extends "sequence-labelling.jinja" %}' in template
    assert SKILL.category == "sequence-labelling"


def test_the_open_corpus_stands_in_only_where_it_is_named():
    assert [source.dataset for source in SKILL.sources] == ["mimic-cause"]
    assert [source.dataset for source in SKILL.alternatives] == [CAUSE.stand_in] == ["ddi"]
    with pytest.raises(BadInput, match="it reads mimic-cause, ddi"):
        SKILL.source("i2b2")


def test_it_draws_the_papers_numbers_of_sentences():
    assert SKILL.source("mimic-cause").sizes == (1286, 714, 714)


def test_both_data_sets_tag_their_entities_alike(both):
    assert [record.context for record in both] == ["<e1>A</e1> helps <e2>B</e2>."] * 2


def test_every_record_has_one_of_the_labels_its_query_lists(both):
    assert [record.answer for record in both] == ["e1 enables e2", "unspecified interaction"]
    assert [len(record.options) for record in both] == [9, 5]
    for record in both:
        assert all(option in record.query for option in record.options)
        assert parse_choices(record.answer, record.options) == record.labels
