"""The entity-entity relations skill: what it declares, and the instructions it is trained on."""

from pathlib import Path

import mdkif_dataset_obo
import mdkif_dataset_umls
import mdkif_skill_er as plugin
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


def test_the_model_reads_two_concepts_and_the_relations_and_learns_one():
    instructions = [Template.of(SKILL).render(record) for record in ontology()]
    assert {instruction.query for instruction in instructions} == {
        "Determine the relation between the two medical concepts. "
        "Choose from: is a kind of; is a broader term than; is not related to."
    }
    told = {instruction.context: instruction.answer for instruction in instructions}
    assert told["concept 1: lung disease\nconcept 2: asthma"] == "is a broader term than"
    assert told["concept 1: angina pectoris\nconcept 2: heart disease"] == "is a kind of"
    assert told["concept 1: pneumonia\nconcept 2: angina pectoris"] == "is not related to"


def test_umls_lists_its_own_relations(tmp_path):
    names = ((1, "hepatitis"), (2, "viral hepatitis"))
    (tmp_path / "MRCONSO.RRF").write_text("".join(ATOM.format(n=n, name=name) for n, name in names))
    (tmp_path / "MRREL.RRF").write_text("C0000001|A1|AUI|CHD|C0000002|A2|AUI|due_to|R1||XYZ|XYZ|||N||\n")
    [record] = convert(UMLS, tmp_path, ConversionReport(), SKILL.source("umls").options)
    instruction = Template.of(SKILL).render(record)
    assert instruction.query == "Determine the relation between the two medical concepts. Choose from: due to."
    assert instruction.context == "concept 1: viral hepatitis\nconcept 2: hepatitis"
    assert instruction.answer == "due to"
