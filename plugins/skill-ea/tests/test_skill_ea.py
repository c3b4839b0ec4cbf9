"""The entity attributes skill: what it declares, and the instructions it is trained on."""

import mdkif_dataset_obo
import mdkif_dataset_umls
import mdkif_skill_ea as plugin
import pytest
from mdkif import BadInput, Conversion, convert
from mdkif.core.templating import Template

[SKILL] = plugin.mdkif_skills()
[UMLS] = mdkif_dataset_umls.mdkif_datasets()
[OBO] = mdkif_dataset_obo.mdkif_datasets()

ONTOLOGY = """format-version: 1.2

[Term]
id: X:1
name: hepatitis
def: "An inflammation of the liver." []
synonym: "liver inflammation" EXACT []

[Term]
id: X:2
name: viral hepatitis
synonym: "hepatitis caused by a virus" EXACT []
is_a: X:1 ! hepatitis
"""
ATOM = "C000000{n}|ENG|P|L{n}|PF|S{n}|Y|A{n}||||XYZ|PT|{n}|{name}|0|N||\n"


def ontology(tmp_path):
    (tmp_path / "doid.obo").write_text(ONTOLOGY)
    return convert(OBO, tmp_path, Conversion(), SKILL.source("disease-ontology").options)


def test_it_is_trained_on_umls_and_the_disease_ontology_only_stands_in():
    assert [source.dataset for source in SKILL.sources] == ["umls"]
    assert [source.dataset for source in SKILL.alternatives] == ["disease-ontology"]
    assert SKILL.category == "knowledge-graph"
    with pytest.raises(BadInput, match="it reads umls, disease-ontology"):
        SKILL.source("mednli")


def test_the_model_reads_the_name_and_learns_the_definition(tmp_path):
    [record] = ontology(tmp_path)
    instruction = Template(SKILL).render(record)
    assert instruction.prompt == "Explain the following medical concept.\n\nhepatitis"
    assert instruction.answer == "An inflammation of the liver."


def test_umls_gives_the_same_instruction(tmp_path):
    (tmp_path / "MRCONSO.RRF").write_text(ATOM.format(n=1, name="hepatitis"))
    (tmp_path / "MRDEF.RRF").write_text("C0000001|A1|AT1||XYZ|An inflammation of the liver.|N||\n")
    [record] = convert(UMLS, tmp_path, Conversion(), SKILL.source("umls").options)
    [stand_in] = ontology(tmp_path)
    assert Template(SKILL).render(record) == Template(SKILL).render(stand_in)
