"""Sections of discharge summaries: where they begin, and which a record shows."""

import csv
import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mdkif import ConversionReport, convert
from mdkif_dataset_mimic import mdkif_datasets
from mdkif_dataset_mimic.sections import ADMISSION, only, sections

NOTE = """Admission Date:  [**2183-5-6**]     Discharge Date:  [**2183-5-21**]

Chief Complaint:
Cough

History of Present Illness:
This woman had a cough
and was given levofloxacin.

Discharge Medications:
1. levofloxacin

Brief Hospital Course:
She improved.

[**First Name8 (NamePattern2) 84**] [**Last Name (NamePattern1) 800**], M.D.
"""
CLINICAL = "history of present illness, brief hospital course"


def test_mimic_sections_every_header_begins_a_section_and_case_does_not_matter():
    found = dict(sections(NOTE))
    assert found["chief complaint"] == "Cough"
    assert found["history of present illness"].startswith("This woman")
    assert [header for header, _ in sections(NOTE)][-1] == "brief hospital course"


def test_mimic_sections_only_the_wanted_sections_are_kept_as_prose_without_the_signature():
    text = only(NOTE, ("history of present illness", "brief hospital course"))
    assert text == "This woman had a cough and was given levofloxacin. She improved."


def test_mimic_sections_note_without_headers_is_one_unnamed_section():
    assert sections("no headers here") == [("", "no headers here")]
    assert only("no headers here", ("chief complaint",)) == ""


@given(
    st.lists(st.sampled_from(["Chief Complaint", "Allergies", "Social History"]), unique=True),
    st.text("ab ", max_size=9),
)
def test_mimic_sections_each_header_on_a_line_of_its_own_gives_its_text_back(headers, body):
    note = "".join(f"{header}:\n{body}\n\n" for header in headers)
    assert [pair for pair in sections(note) if pair[0]] == [(header.lower(), body.strip()) for header in headers]


@pytest.mark.parametrize(
    ("line", "header"),
    [
        ("BRIEF HOSPITAL COURSE:", "brief hospital course"),
        ("  Chief Complaint: cough", "chief complaint"),
        ("Past Medical History (PMH):", "past medical history (pmh)"),
        ("Patient's Condition:", "patient's condition"),
        ("was given: aspirin", ""),
        ("1. Aspirin: 81 mg", ""),
        ("T: 98", ""),
    ],
)
def test_mimic_sections_header_is_a_capitalised_phrase_that_begins_a_line(line, header):
    assert sections(f"Before.\n{line}\nAfter.")[-1][0] == header


def test_mimic_sections_signature_begins_the_last_line_and_a_place_within_it_is_kept():
    text = only("Social History:\nLives in\n[**Location**] with\nher son in [**State**] now.\n", ("social history",))
    assert text == "Lives in [**Location**] with her son in [**State**] now."


def test_mimic_sections_nothing_of_the_stay_or_the_discharge_is_known_at_admission():
    later = ("discharge", "course", "results", "procedure", "disposition", "transfer", "followup", "condition")
    assert not [header for header in ADMISSION if any(word in header for word in later)]
    found = dict(sections(NOTE)).keys() & ADMISSION
    assert found == {"chief complaint", "history of present illness"}


def _table(folder, name, rows):
    with gzip.open(folder / f"{name}.csv.gz", "wt", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows(rows)


def test_mimic_sections_option_restricts_notes_and_counts_those_left_without_text(tmp_path):
    columns = ["ROW_ID", "SUBJECT_ID", "HADM_ID", "CHARTDATE", "CHARTTIME", "STORETIME", "CATEGORY", "DESCRIPTION"]
    rows = [[*columns, "CGID", "ISERROR", "TEXT"]]
    codes = [["ROW_ID", "SUBJECT_ID", "HADM_ID", "SEQ_NUM", "ICD9_CODE"]]
    for i in range(20):
        text = NOTE if i % 2 else "Chief Complaint:\nCough\n"
        rows.append([str(i), f"{i}", f"9{i}", "2150-01-01", "", "", "Discharge summary", "Report", "", "", text])
        codes.append([str(i), f"{i}", f"9{i}", "1", "486"])
    _table(tmp_path, "NOTEEVENTS", rows)
    _table(tmp_path, "DIAGNOSES_ICD", codes)
    conversion = ConversionReport()
    dataset, _ = mdkif_datasets()
    records = list(convert(dataset, tmp_path, conversion, {"sections": CLINICAL.upper()}))
    assert {record.context for record in records} == {
        "This woman had a cough and was given levofloxacin. She improved."
    }
    assert conversion.left_out["note without the wanted sections"] == 10
