"""The entity attributes skill: what it declares, and the instructions it is trained on."""

from pathlib import Path

import mdkif_dataset_obo
import mdkif_dataset_umls
import mdkif_skill_ea as plugin
import pytest
from mdkif import BadInput, ConversionReport, convert
from mdkif.core.prompts.templates import Template

[SKILL] = plugin.mdkif_skills()
[UMLS] = mdkif_dataset_umls.mdkif_datasets()
[OBO] = mdkif_dataset_obo.mdkif_datasets()

SAMPLE = Path(mdkif_dataset_obo.__file__).parent / "sample" / "disease-ontology"
ATOM = "C000000{n}|ENG|P|L{n}|PF|S{n}|Y|A{n}||||XYZ|PT|{n}|{name}|0|N||\n"


def ontology():
    """The records of the sample that the stand-in's converter ships."""
    return list(convert(OBO, SAMPLE, ConversionReport(), SKILL.source("disease-ontology").options))


def test_it_is_trained_on_umls_and_the_disease_ontology_only_stands_in():
    assert [source.dataset for source in SKILL.sources] == ["umls"]
    assert [source.dataset for source in SKILL.alternatives] == ["disease-ontology"]
    assert SKILL.category == "knowledge-graph"
    with pytest.raises(BadInput, match="it reads umls, disease-ontology"):
        SKILL.source("mednli")


def test_the_model_reads_the_name_and_learns_the_definition():
    [instruction] = [Template.of(SKILL).render(record) for record in ontology() if record.context == "heart disease"]
    assert instruction.prompt == "Explain the following medical concept.\n\nheart disease"
    assert instruction.answer == "A disease of the heart muscle, its valves or its vessels."


def test_umls_gives_the_same_instruction(tmp_path):
    (tmp_path / "MRCONSO.RRF").write_text(ATOM.format(n=1, name="heart disease"))
    (tmp_path / "MRDEF.RRF").write_text(
        "C0000001|A1|AT1||XYZ|A disease of the heart muscle, its valves or its vessels.|N||\n"
    )
    [record] = convert(UMLS, tmp_path, ConversionReport(), SKILL.source("umls").options)
    assert Template.of(SKILL).render(record) in [Template.of(SKILL).render(stand_in) for stand_in in ontology()]
