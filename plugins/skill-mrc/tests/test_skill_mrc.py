"""The reading comprehension skill: what it declares, and the instructions its data sets give."""

import json
from importlib.resources import files

import mdkif_dataset_clicr
import mdkif_dataset_emrqa
import mdkif_dataset_medquad
import mdkif_skill_mrc as plugin
from mdkif import ConversionReport, convert
from mdkif.core.prompts.templates import Template

[SKILL] = plugin.mdkif_skills()
[CLICR] = mdkif_dataset_clicr.mdkif_datasets()
[EMRQA] = mdkif_dataset_emrqa.mdkif_datasets()
[MEDQUAD] = mdkif_dataset_medquad.mdkif_datasets()


def test_clicr_and_emrqa_are_merged_and_medquad_stands_in_for_both():
    assert (SKILL.name, SKILL.category) == ("mrc", "sequence-labelling")
    assert [source.dataset for source in SKILL.sources] == ["clicr", "emrqa"]
    assert SKILL.source("medquad").options == {"view": "cloze"}
    assert CLICR.stand_in == EMRQA.stand_in == "medquad"
    template = files(SKILL.package).joinpath("templates", SKILL.template).read_text()
    assert '{% extends "sequence-labelling.jinja" %}' in template


def test_stand_in_reads_like_clicr(tmp_path):
    answer = "Gout is a kind of arthritis of the toe. People with gout have pain."
    (tmp_path / "1.xml").write_text(
        "<Document><Focus>Gout</Focus><QAPairs><QAPair pid='1'><Question qtype='x'>What is gout?</Question>"
        f"<Answer>{answer}</Answer></QAPair></QAPairs></Document>"
    )
    answers = [{"text": "gout", "cui": "C1", "sem_type": "problem", "origin": "dataset"}]
    query = {"id": "bcr-1.1", "query": "Always think of @placeholder .", "answers": answers}
    case = {"document": {"context": "It was gout .", "title": "A toe", "qas": [query]}, "source": "bcr-1"}
    (tmp_path / "train1.0.json").write_text(json.dumps({"version": "1.0", "data": [case]}))
    [made] = convert(MEDQUAD, tmp_path, ConversionReport(), SKILL.source("medquad").options)
    [read] = convert(CLICR, tmp_path, ConversionReport(), SKILL.source("clicr").options)
    instruction, clicr = (Template.of(SKILL).render(record) for record in (made, read))
    assert instruction.query == "Fill in @placeholder: @placeholder is a kind of arthritis of the toe."
    assert instruction.context == "People with gout have pain."
    assert instruction.answer == "Gout"
    assert instruction.query.split(":")[0] == clicr.query.split(":")[0]
