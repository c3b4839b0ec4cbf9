"""The entity synonymy skill: what it declares, and the instructions it is trained on."""

from pathlib import Path

import mdkif_dataset_obo
import mdkif_dataset_umls
import mdkif_skill_es as plugin
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


def test_the_model_reads_two_terms_and_the_labels_and_learns_one():
    instructions = [Template.of(SKILL).render(record) for record in ontology()]
    assert instructions[0].prompt == (
        "Do the two medical terms mean the same? Choose from: yes; no.\n\n"
        "term 1: lung disease\nterm 2: disease of the lungs"
    )
    assert [instruction.answer for instruction in instructions] == ["yes", "no"] * (len(instructions) // 2)


def test_umls_gives_the_same_labels(tmp_path):
    atoms = [ATOM.format(n=n, name=name) for n, name in ((1, "hepatitis"), (2, "nephritis"))]
    further = ATOM.replace("|P|", "|S|").replace("|A{n}|", "|B{n}|")
    atoms.insert(1, further.format(n=1, name="liver inflammation"))
    atoms.append(further.format(n=2, name="kidney inflammation"))
    (tmp_path / "MRCONSO.RRF").write_text("".join(atoms))
    records = list(convert(UMLS, tmp_path, ConversionReport(), SKILL.source("umls").options))
    assert [record.answer for record in records] == ["yes", "no", "yes", "no"]
    assert {record.query for record in records} == {record.query for record in ontology()}
