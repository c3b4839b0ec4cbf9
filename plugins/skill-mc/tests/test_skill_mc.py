"""The conversation skill: what it declares, and the instruction its data sets give."""

import json
from importlib.resources import files

import mdkif_dataset_healthcaremagic
import mdkif_skill_mc as plugin
import pytest
from mdkif import BadInput, ConversionReport, convert
from mdkif.core.prompts.templates import Template

[SKILL] = plugin.mdkif_skills()
HEALTHCAREMAGIC, CHATDOCTOR = mdkif_dataset_healthcaremagic.mdkif_datasets()


def test_its_template_fills_the_default_of_its_category():
    template = files(SKILL.package).joinpath("templates", SKILL.template).read_text()
    assert f'{{% extends "{SKILL.category}.jinja" %}}' in template
    assert SKILL.category == "sequence-to-sequence"


def test_open_dialogues_stand_in_only_where_they_are_named():
    assert [source.dataset for source in SKILL.sources] == ["healthcaremagic"]
    assert [source.dataset for source in SKILL.alternatives] == [HEALTHCAREMAGIC.stand_in] == ["chatdoctor"]
    with pytest.raises(BadInput, match="it reads healthcaremagic, chatdoctor"):
        SKILL.source("icliniq")


@pytest.mark.parametrize("dataset", [HEALTHCAREMAGIC, CHATDOCTOR], ids=lambda dataset: dataset.name)
def test_prompt_is_the_instruction_of_the_row_and_the_patients_words(tmp_path, dataset):
    row = {"instruction": "Answer as a doctor.", "input": "I cough.", "output": "Drink tea."}
    (tmp_path / "dialogues.json").write_text(json.dumps([row]))
    [record] = convert(dataset, tmp_path, ConversionReport(), SKILL.source(dataset.name).options)
    instruction = Template.of(SKILL).render(record)
    assert (instruction.prompt, instruction.answer) == ("Answer as a doctor.\n\nI cough.", "Drink tea.")
