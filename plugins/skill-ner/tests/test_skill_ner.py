"""The entity recognition skill: what it declares, and the instructions it is trained on."""

import mdkif_dataset_i2b2
import mdkif_dataset_ncbi_disease
import mdkif_skill_ner as plugin
import pytest
from mdkif import BadInput, ConversionReport, convert, parse_entities
from mdkif.core.prompts.templates import Template

[SKILL] = plugin.mdkif_skills()
[I2B2] = mdkif_dataset_i2b2.mdkif_datasets()
[NCBI] = mdkif_dataset_ncbi_disease.mdkif_datasets()


def instructions(dataset, folder):
    records = convert(dataset, folder, ConversionReport(), SKILL.source(dataset.name).options)
    return [Template.of(SKILL).render(record) for record in records]


def test_it_is_trained_on_notes_as_in_the_papers_figure(tmp_path):
    (tmp_path / "note.txt").write_text("Type 2 Diabetes , on insulin .\n")
    (tmp_path / "note.con").write_text('c="insulin" 1:5 1:5||t="treatment"\nc="type 2 diabetes" 1:0 1:2||t="problem"\n')
    [instruction] = instructions(I2B2, tmp_path)
    assert instruction.prompt == (
        'Which problems, tests and treatments does the text name? Write one "type: entity" a line.\n\n'
        "Type 2 Diabetes , on insulin ."
    )
    assert instruction.answer == "problem: Type 2 Diabetes\ntreatment: insulin"
    assert parse_entities(instruction.answer) == ("problem: Type 2 Diabetes", "treatment: insulin")


def test_open_abstracts_stand_in(tmp_path):
    (tmp_path / "train.tsv").write_text("Mumps\tB-Disease\nspreads\tO\n\n")
    [instruction] = instructions(NCBI, tmp_path)
    assert (instruction.context, instruction.answer) == ("Mumps spreads", "disease: Mumps")
    assert SKILL.reads == ("i2b2", "ncbi-disease")
    assert [source.dataset for source in SKILL.alternatives] == [I2B2.stand_in]


def test_it_reads_no_other_data_set():
    with pytest.raises(BadInput, match="it reads i2b2, ncbi-disease"):
        SKILL.source("mednli")
