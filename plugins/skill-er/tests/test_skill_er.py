"""The entity-entity relations skill: what it declares, and the instructions it is trained on."""

import mdkif_dataset_obo
import mdkif_dataset_umls
import mdkif_skill_er as plugin
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


def test_the_model_reads_two_concepts_and_the_relations_and_learns_one(tmp_path):
    [record] = ontology(tmp_path)
    instruction = Template(SKILL).render(record)
    query, context = instruction.prompt.split("\n\n")
    assert query == (
        "Determine the relation between the two medical concepts. "
        "Choose from: is a kind of; is a broader term than; is not related to."
    )
    assert {line.split(": ")[0] for line in context.split("\n")} == {"concept 1", "concept 2"}
    assert instruction.answer in record.options


def test_umls_lists_its_own_relations(tmp_path):
    names = ((1, "hepatitis"), (2, "viral hepatitis"))
    (tmp_path / "MRCONSO.RRF").write_text("".join(ATOM.format(n=n, name=name) for n, name in names))
    (tmp_path / "MRREL.RRF").write_text("C0000001|A1|AUI|CHD|C0000002|A2|AUI|due_to|R1||XYZ|XYZ|||N||\n")
    [record] = convert(UMLS, tmp_path, Conversion(), SKILL.source("umls").options)
    instruction = Template(SKILL).render(record)
    assert instruction.query == "Determine the relation between the two medical concepts. Choose from: due to."
    assert instruction.context == "concept 1: viral hepatitis\nconcept 2: hepatitis"
    assert instruction.answer == "due to"
