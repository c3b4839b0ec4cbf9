"""The document classification skill: what it declares, and the instructions its data sets give."""

import json
import re
from importlib.resources import files

import mdkif_dataset_hoc
import mdkif_dataset_wikimed
import mdkif_skill_mldc as plugin
import pytest
from mdkif import BadInput, ConversionReport, convert
from mdkif.core.prompts.templates import Template

[SKILL] = plugin.mdkif_skills()
[WIKIMED] = mdkif_dataset_wikimed.mdkif_datasets()
[HOC] = mdkif_dataset_hoc.mdkif_datasets()


def test_wikimed_is_its_source_and_hallmarks_of_cancer_stand_in():
    assert [source.dataset for source in SKILL.sources] == ["wikimed"]
    assert [source.dataset for source in SKILL.alternatives] == [WIKIMED.stand_in] == ["hoc"]
    assert (SKILL.name, SKILL.category, SKILL.multi_label) == ("mldc", "text-classification", True)
    with pytest.raises(BadInput, match="it reads wikimed, hoc"):
        SKILL.source("mednli")


def test_prompt_lists_the_classes_and_the_document_and_the_answer_all_labels(tmp_path):
    template = files(SKILL.package).joinpath("templates", SKILL.template).read_text()
    assert '{% extends "text-classification.jinja" %}' in template
    (tmp_path / "MRSTY.RRF").write_text(
        "C0000002|T109|A1.2|Organic Chemical|AT1|256|\nC0000002|T121|A1.2|Pharmacologic Substance|AT1|256|\n"
    )
    mentions = [{"mention": "Aspirin", "start_offset": 0, "end_offset": 7, "link_id": "C0000002"}]
    article = {"_id": "12", "text": "Aspirin is a drug.", "title": "Aspirin", "split": "train", "mentions": mentions}
    (tmp_path / "wikimed.json").write_text(json.dumps(article))
    [record] = convert(WIKIMED, tmp_path, ConversionReport(), SKILL.source("wikimed").options)
    instruction = Template.of(SKILL).render(record)
    assert instruction.prompt == f"{record.query}\n\nAspirin is a drug."
    assert "Activities & Behaviors; Anatomy;" in instruction.prompt
    assert instruction.answer == "Organic Chemical; Pharmacologic Substance"


def test_stand_in_gives_the_same_kind_of_instruction(tmp_path):
    for kind, content in (("text", "Cells die .\n"), ("labels", "<Resisting cell death--")):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "1.txt").write_text(content)
    [record] = convert(HOC, tmp_path, ConversionReport(), SKILL.source("hoc").options)
    assert re.fullmatch(r"Which .* Choose from: .*\.\n\nCells die \.", Template.of(SKILL).render(record).prompt)
    assert record.answer == "Resisting cell death"
