"""The medication view: drugs as PRESCRIPTIONS names them, asked of what is known at admission only."""

import csv
import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mdkif import BadInput, ConversionReport, convert, hashed_split
from mdkif_dataset_mimic import mdkif_datasets
from mdkif_dataset_mimic.mimic_iii import MimicIII

MIMIC, _ = mdkif_datasets()
OPEN_DATA = Path(os.environ.get("MDKIF_TEST_DATA", Path(__file__).parents[4] / "shared" / "data"))
DEMO = OPEN_DATA / "MIMIC-III-demo"
needs_demo = pytest.mark.skipif(not DEMO.is_dir(), reason=f"no MIMIC-III-demo in {OPEN_DATA}; set MDKIF_TEST_DATA")

NOTES = "ROW_ID SUBJECT_ID HADM_ID CHARTDATE CHARTTIME STORETIME CATEGORY DESCRIPTION CGID ISERROR TEXT"
PRESCRIPTIONS = (
    "ROW_ID SUBJECT_ID HADM_ID ICUSTAY_ID STARTDATE ENDDATE DRUG_TYPE DRUG DRUG_NAME_POE DRUG_NAME_GENERIC "
    "FORMULARY_DRUG_CD GSN NDC PROD_STRENGTH DOSE_VAL_RX DOSE_UNIT_RX FORM_VAL_DISP FORM_UNIT_DISP ROUTE"
)
TRAINING, TESTING = (next(str(n) for n in range(99) if hashed_split(str(n)) == split) for split in ("train", "test"))

NOTE = """Admission Date:  [**2183-5-6**]     Discharge Date:  [**2183-5-21**]

Service: MEDICINE

Allergies:
Penicillins

Chief Complaint:
Cough

Major Surgical or Invasive Procedure:
Bronchoscopy under propofol

History of Present Illness:
This woman had a cough
for two weeks.

Past Medical History:
Gout

Medications on Admission:
1. Allopurinol 100 mg

Social History:
Lives alone

Family History:
None

Physical Exam:
Crackles at both bases

Pertinent Results:
Vancomycin level 18

Brief Hospital Course:
Given vancomycin.

Discharge Medications:
1. Levofloxacin 500 mg

Discharge Disposition:
Home
"""
KNOWN = "Penicillins Cough This woman had a cough for two weeks. Gout 1. Allopurinol 100 mg Lives alone None"


def drug(name, admission="11", patient=TRAINING, kind="MAIN", ndc="00093101501"):
    return {"SUBJECT_ID": patient, "HADM_ID": admission, "DRUG_TYPE": kind, "DRUG": name, "NDC": ndc}


def note(text=NOTE, admission="11", patient=TRAINING, description="Report"):
    summary = {"CATEGORY": "Discharge summary", "DESCRIPTION": description, "CHARTDATE": "2183-05-21"}
    return {"SUBJECT_ID": patient, "HADM_ID": admission, "TEXT": text, **summary}


def write(folder, name, header, lines):
    with (folder / f"{name}.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, header.split(), quoting=csv.QUOTE_ALL)
        table.writeheader()
        table.writerows(lines)


@pytest.fixture
def records(tmp_path):
    def run(drugs, notes=(), conversion=None, **options):
        write(tmp_path, "PRESCRIPTIONS", PRESCRIPTIONS, drugs)
        write(tmp_path, "NOTEEVENTS", NOTES, notes or [note()])
        return list(convert(MIMIC, tmp_path, conversion or ConversionReport(), {"view": "medication", **options}))

    return run


# Labels


def test_mimic_medication_record_asks_which_drugs_are_given(records):
    [record] = records([drug("Vancomycin"), drug("Propofol")])
    assert record.query == "Which medications are given in this admission? Choose from: propofol; vancomycin."
    assert record.answer == "propofol; vancomycin"
    assert (record.id, record.group, record.source) == ("mimic-iii/medication/11", TRAINING, "NOTEEVENTS.csv:2")


def test_mimic_medication_names_that_differ_by_case_or_space_count_once_per_admission(records):
    notes = [note(admission=admission) for admission in ("11", "12", "13")]
    drugs = [
        *(drug(name) for name in ("Heparin Sodium", "heparin  sodium", " HEPARIN SODIUM")),
        *(drug("Aspirin", admission) for admission in ("11", "12")),
    ]
    found = records(drugs, notes, keep_empty="yes")
    assert {record.options for record in found} == {("aspirin", "heparin sodium")}
    assert [record.answer for record in found] == ["aspirin; heparin sodium", "aspirin", "none"]


def test_mimic_medication_bases_and_additives_are_no_drugs(records):
    conversion = ConversionReport()
    drugs = [drug("Vancomycin"), drug("D5W", kind="BASE"), drug("Potassium Chloride", kind="ADDITIVE"), drug("")]
    [record] = records(drugs, conversion=conversion)
    assert record.options == ("vancomycin",)
    assert conversion.left_out == {
        "prescription of a base or an additive": 2,
        "prescription without a drug or an admission": 1,
    }


@pytest.mark.parametrize("ndc", ["0", ""])
def test_mimic_medication_drug_without_a_national_code_counts_by_its_name(records, ndc):
    [record] = records([drug("Vancomycin", ndc=ndc)])
    assert record.labels == ("vancomycin",)


@pytest.mark.parametrize(("options", "count"), [({}, 10), ({"top": 3}, 3), ({"top": 500}, 12), ({"top": "full"}, 12)])
def test_mimic_medication_ten_drugs_are_labels_unless_another_number_is_asked(records, options, count):
    [record] = records([drug(f"Drug {number}") for number in range(12)], **options)
    assert len(record.options) == count


def test_mimic_medication_labels_are_chosen_among_training_patients(records):
    notes = [note(), note(admission="12", patient=TESTING), note(admission="13", patient=TESTING)]
    drugs = [drug("Aspirin"), drug("Heparin", "12", TESTING), drug("Heparin", "13", TESTING)]
    conversion = ConversionReport()
    [record] = records(drugs, notes, conversion)
    assert record.options == ("aspirin",)
    assert conversion.left_out == {"admission with none of the 1 labels": 2}


# What is known at admission


def test_mimic_medication_only_what_is_known_at_admission_is_the_context(records):
    [record] = records([drug("Vancomycin"), drug("Levofloxacin"), drug("Propofol")])
    assert record.context == f"{KNOWN} Crackles at both bases"


@pytest.mark.parametrize(
    "line",
    [
        "Discharge Medications:",
        "DISCHARGE MEDICATIONS",
        "Discharge Medications (include new):",
        "discharge meds: see below",
        "# Discharge medications -",
        "3. Discharge medications",
        "Medications on discharge",
        "MEDICATIONS AT DISCHARGE were",
        "Meds upon discharge",
    ],
)
@pytest.mark.parametrize("options", [{}, {"sections": "all"}])
def test_mimic_medication_list_of_discharge_medications_is_not_read_however_it_begins(records, line, options):
    text = f"Chief Complaint:\nCough\n\n{line}\n1. Levofloxacin\n\nFamily History:\nalso levofloxacin\n"
    [record] = records([drug("Levofloxacin")], [note(text)], **options)
    assert "evofloxacin" not in record.context
    assert "Cough" in record.context


def test_mimic_medication_addendum_with_new_discharge_medications_is_not_read(records):
    addendum = note("Addendum:\nMedications on Discharge: levofloxacin\n", description="Addendum")
    [record] = records([drug("Levofloxacin")], [addendum, note()])
    assert "evofloxacin" not in record.context


@given(st.text("disch argemtno:\n1.#-", max_size=80))
def test_mimic_medication_no_text_keeps_a_line_that_begins_the_list(tmp_path_factory, before):
    folder = tmp_path_factory.mktemp("mimic")
    write(folder, "PRESCRIPTIONS", PRESCRIPTIONS, [drug("Levofloxacin")])
    text = f"Chief Complaint:\nx {before}\nDischarge Medications: levofloxacin\n"
    write(folder, "NOTEEVENTS", NOTES, [note(text)])
    found = list(convert(MIMIC, folder, ConversionReport(), {"view": "medication", "sections": "all"}))
    assert [("levofloxacin" in record.context, len(record.context) > 0) for record in found] == [(False, True)]


def test_mimic_medication_long_rule_of_dashes_takes_no_time(records):
    text = "Chief Complaint:\nCough\n" + "- \n" * 200_000 + "-" * 500_000
    [record] = records([drug("Levofloxacin")], [note(text)])
    assert record.context.startswith("Cough - -")


def test_mimic_medication_notes_that_tell_nothing_about_admission_are_left_out(records):
    conversion = ConversionReport()
    notes = [note("Brief Hospital Course:\nGiven vancomycin.\n", "12"), note("No headers.", "13"), note()]
    drugs = [drug("Vancomycin", admission) for admission in ("11", "12", "13")]
    assert [record.id for record in records(drugs, notes, conversion)] == ["mimic-iii/medication/11"]
    assert conversion.left_out == {"note without the wanted sections": 2}


def test_mimic_medication_sections_may_be_named_instead(records):
    [record] = records([drug("Vancomycin")], sections="Chief Complaint,  social   history")
    assert record.context == "Cough Lives alone"


# Tables


def test_mimic_medication_prescriptions_must_be_there_and_must_be_whole(records, tmp_path):
    records([drug("Vancomycin")])
    with (tmp_path / "PRESCRIPTIONS.csv").open("a") as file:
        file.write("1,2,secret\n")
    with pytest.raises(BadInput, match=r"PRESCRIPTIONS\.csv:3 does not have the 19 cells") as error:
        list(convert(MIMIC, tmp_path, ConversionReport(), {"view": "medication"}))
    assert "secret" not in str(error.value)
    lenient = ConversionReport(skip_bad=True)
    assert len(list(convert(MIMIC, tmp_path, lenient, {"view": "medication"}))) == 1
    assert lenient.left_out.total() == 1
    (tmp_path / "PRESCRIPTIONS.csv").unlink()
    with pytest.raises(BadInput, match=r"no PRESCRIPTIONS\.csv"):
        list(convert(MIMIC, tmp_path, ConversionReport(), {"view": "medication"}))


def test_mimic_medication_prescriptions_of_no_training_patient_give_no_labels(records):
    with pytest.raises(BadInput, match="has a prescription and a discharge summary"):
        records([drug("Vancomycin", "99")])


@needs_demo
def test_mimic_medication_drugs_of_the_demo():
    conversion = ConversionReport()
    given = list(MimicIII.at(DEMO).drugs(conversion))
    left_out = conversion.left_out["prescription of a base or an additive"]
    assert len(given) + left_out == 10_398
    per_admission = Counter(name for _, name in {(mark.admission, mark.name) for mark in given})
    assert all(name == name.lower().strip() for name in per_admission)
    assert {"potassium chloride", "furosemide", "insulin", "heparin"} <= {n for n, _ in per_admission.most_common(20)}
    assert left_out > 1000
