"""The converter of ICD-10-CM: what the list says, its views, bad files, and the counts of the installed edition."""

from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import mdkif_dataset_icd10cm as plugin
import pytest
from mdkif import BadInput, ConversionReport, convert
from mdkif.testing import assert_conforms, sample_of
from mdkif_dataset_icd10cm.tabular import tabular

[DATASET] = plugin.mdkif_datasets()
LAYOUT = '<?xml version="1.0" encoding="utf-8"?><ICD10CM.tabular>{}</ICD10CM.tabular>'
CHAPTER = "<chapter><name>{0}</name><desc>Chapter {0} (A00-B99)</desc><section id='x'>{1}</section></chapter>"


def diag(code, title, *inner, **attributes):
    marks = "".join(f' {name}="{value}"' for name, value in attributes.items())
    return f"<diag{marks}><name>{code}</name><desc>{title}</desc>{''.join(inner)}</diag>"


def included(*notes):
    return f"<inclusionTerm>{''.join(f'<note>{note}</note>' for note in notes)}</inclusionTerm>"


@pytest.fixture
def listed(tmp_path):
    """Writes the chapters with these entries, and a last one of special codes."""

    def write(*chapters, name="icd10cm-tabular-2000.xml"):
        path = tmp_path / name
        texts = [CHAPTER.format(number, body) for number, body in enumerate([*chapters, ""], 1)]
        path.write_text(LAYOUT.format("\n".join(texts)), encoding="utf-8")
        return path

    return write


def records(source, conversion=None, **options):
    return list(convert(DATASET, source, conversion or ConversionReport(), options))


def test_icd10cm_conforms():
    assert_conforms("mdkif-dataset-icd10cm")


def test_icd10cm_entry_has_title_notes_chapter_and_the_entry_above_that_is_no_placeholder(listed):
    inner = diag("A00.1X", "Ague", diag("A00.1X1", "Left ague"), placeholder="true")
    notes = "<excludes1><note>not this</note></excludes1>" + included("Shivers", "Old shivers")
    found = tabular(listed("", diag("A00", "Agues", diag("A00.1", "Ague", notes, inner))), ConversionReport())
    assert found.chapters == ["Chapter 1", "Chapter 2", "Chapter 3"]
    assert [(e.code, e.title, e.parent, e.placeholder, e.chapter) for e in found.entries] == [
        ("A00", "Agues", "", False, 2),
        ("A00.1", "Ague", "A00", False, 2),
        ("A00.1X", "Ague", "A00.1", True, 2),
        ("A00.1X1", "Left ague", "A00.1", False, 2),
    ]
    assert [note.text for note in found.entries[1].notes] == ["Shivers", "Old shivers"]
    assert {entry.category for entry in found.entries} == {"A00"}


def test_icd10cm_diagnosis_has_the_chapters_of_diseases_to_choose_from(listed):
    chapters = [diag(f"{letter}00", f"Ague {letter}") for letter in "ABCDEFGHIJKLMNOPQ"]
    source = listed(*chapters)
    few, every = records(source), records(source, chapters="all")
    assert few[0].options == tuple(f"Chapter {number}" for number in range(1, 15))
    assert [record.answer for record in few] == list(few[0].options)
    assert every[0].options == tuple(f"Chapter {number}" for number in range(1, 18))
    assert len(every) == 17


def test_icd10cm_of_a_category_some_diagnoses_are_taken_and_all_are_one_group(listed):
    source = listed(diag("A00", "Agues", *(diag(f"A00.{n}", f"Ague {n}") for n in range(9))))
    conversion = ConversionReport()
    few = records(source, conversion, most="3")
    assert len(few) == 3
    assert conversion.left_out["diagnosis beyond those taken of its category"] == 7
    assert len(records(source, most="0")) == 10
    assert {record.group for view in ("chapter", "er", "isa") for record in records(source, view=view)} == {"A00"}
    assert {record.id for record in records(source, most="3", seed="1")} != {record.id for record in few}


def test_icd10cm_title_of_two_chapters_and_one_told_before_are_left_out(listed):
    conversion = ConversionReport()
    source = listed(diag("A00", "Ague", diag("A00.1", "Shiver", diag("A00.10", "shiver"))), diag("B00", "Ague"))
    assert [record.id for record in records(source, conversion)] == ["icd10cm/chapter/A00.1"] or [
        record.id for record in records(source)
    ] == ["icd10cm/chapter/A00.10"]
    assert conversion.left_out["diagnosis whose title comes twice"] == 3


def test_icd10cm_views_of_an_ontology_come_from_titles_notes_and_hierarchy(listed):
    source = listed(diag("A00", "Agues", diag("A00.1", "Marsh ague", included("Shivers", "Fen shivers"))))
    [told] = records(source, view="ea")
    assert (told.context, told.answer) == ("Marsh ague", "A kind of Agues. It includes Shivers; Fen shivers.")
    yes = [record for record in records(source, view="isa") if record.answer == "yes"]
    assert [record.context for record in yes] == ["concept 1: Marsh ague\nconcept 2: Agues"]
    same = {record.context for record in records(source, view="es", negatives="any") if record.answer == "yes"}
    assert same <= {"term 1: Marsh ague\nterm 2: Shivers", "term 1: Marsh ague\nterm 2: Fen shivers"}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (diag("A00", ""), "starts an entry without a title"),
        (diag("", "SECRET"), "starts an entry without a title"),
        (diag("A00", "SECRET") + diag("A00", "Ague"), "starts an entry without a title, or without a code of its own"),
        ("<diag><name>SECRET", "is not well-formed XML"),
    ],
)
def test_icd10cm_malformed_list_is_named_by_file_and_line_and_not_quoted(listed, body, reason):
    source = listed(body)
    with pytest.raises(BadInput, match=rf"icd10cm-tabular-2000.xml:\d+ {reason}") as caught:
        records(source)
    assert "SECRET" not in str(caught.value)


def test_icd10cm_document_type_is_refused(tmp_path):
    source = tmp_path / "icd10cm-tabular.xml"
    source.write_text('<!DOCTYPE x [<!ENTITY a "SECRET">]>' + LAYOUT.partition("?>")[2].format("&a;"), "utf-8")
    with pytest.raises(BadInput, match="declares a document type"):
        records(source)


def test_icd10cm_wrong_source_or_option_says_what_is_wanted(tmp_path, listed):
    with pytest.raises(BadInput, match=r"no icd10cm-tabular\*.xml in .*: give the tabular list"):
        records(tmp_path)
    (tmp_path / "icd10cm-tabular.xml").write_text("<a/>")
    with pytest.raises(BadInput, match=r"no chapter in .*give the tabular list of ICD-10-CM"):
        records(tmp_path)
    for option, value in {"view": "x", "chapters": "x", "most": "x", "scopes": "x"}.items():
        with pytest.raises(BadInput, match=f"'{option}' is '"):
            records(listed(""), **{option: value})


def test_icd10cm_folder_gives_its_newest_list(tmp_path, listed):
    listed(diag("A00", "Old"), name="icd10cm-tabular-2000.xml")
    listed(diag("A00", "New"), name="icd10cm-tabular-2001.xml")
    assert [record.context for record in records(tmp_path)] == ["New"]


# The edition that is installed


def test_icd10cm_installed_edition_is_that_of_april_2026():
    found = plugin.installed()
    assert found.release == "ICD-10-CM of April 1 2026 in simple-icd-10-cm 1.5.0"
    [path] = found.path.glob("*.xml")
    told = tabular(found.path, ConversionReport())
    assert (len(told.chapters), sum(not entry.placeholder for entry in told.entries)) == (22, 46_635)
    assert sum(entry.placeholder for entry in told.entries) == 246
    root = ElementTree.parse(path).getroot()
    assert sum(1 for _ in root.iter("inclusionTerm")) == 6_809  # four of them of chapters and sections
    assert sum(bool(entry.notes) for entry in told.entries) == 6_805
    assert [entry.code for entry in told.entries] == [each.findtext("name") for each in root.iter("diag")]
    assert told.chapters[8] == "Diseases of the circulatory system"


def test_icd10cm_installed_edition_gives_these_records():
    source = plugin.installed().path
    conversion = ConversionReport()
    found = records(source, conversion)
    assert (len(found), conversion.splits["test"]) == (6_479, 745)
    assert conversion.left_out["placeholder"] == 246
    splits: dict[str, set[str]] = {}
    for record in found:
        splits.setdefault(record.id.split("/")[2][:3], set()).add(record.split)
    assert all(len(each) == 1 for each in splits.values())
    answers = Counter(record.answer for record in found)
    assert len(answers) == 14
    counts = {view: len(records(source, view=view)) for view in ("ea", "es", "er")}
    assert counts == {"ea": 6_804, "es": 25_128, "er": 44_717}


def test_icd10cm_package_that_is_missing_is_told_with_the_remedy(monkeypatch):
    monkeypatch.setattr("sys.path", [])
    with pytest.raises(
        BadInput, match=r"'icd10cm' come with the package simple-icd-10-cm, which is not installed: pip"
    ):
        plugin.installed()


def test_icd10cm_sample_is_invented():
    assert "INVENTED" in (Path(sample_of("icd10cm")) / "SYNTHETIC.txt").read_text("utf-8")
