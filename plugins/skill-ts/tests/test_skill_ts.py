"""The summarisation skill: what it declares, and the instruction its data set gives."""

from importlib.resources import files

import mdkif_dataset_meqsum
import mdkif_skill_ts as plugin
from mdkif import ConversionReport, convert
from mdkif.core.prompts.templates import Template
from openpyxl import Workbook

[SKILL] = plugin.mdkif_skills()
[MEQSUM] = mdkif_dataset_meqsum.mdkif_datasets()


def test_meqsum_is_its_only_source_and_its_template_fills_the_default_of_its_category():
    assert (SKILL.name, SKILL.category) == ("ts", "sequence-to-sequence")
    assert SKILL.reads == ("meqsum",)
    template = files(SKILL.package).joinpath("templates", SKILL.template).read_text()
    assert '{% extends "sequence-to-sequence.jinja" %}' in template


def test_prompt_is_the_patients_message_and_the_answer_its_question(tmp_path):
    book = Workbook()
    book.active.title = "QS"
    for row in (("File", "CHQ", "Summary"), ("1", "I cough since May. Why?", "What causes cough?")):
        book.active.append(row)
    book.save(tmp_path / "MeQSum.xlsx")
    [record] = convert(MEQSUM, tmp_path, ConversionReport(), SKILL.source("meqsum").options)
    instruction = Template.of(SKILL).render(record)
    assert instruction.prompt == "Summarise the question.\n\nI cough since May. Why?"
    assert instruction.answer == "What causes cough?"
