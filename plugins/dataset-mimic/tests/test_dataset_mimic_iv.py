"""MIMIC-IV: two folders, two versions of ICD kept apart, another de-identification mark, and the same three views."""

import csv
import gzip
import os
from pathlib import Path

import pytest
from mdkif import BadInput, ConversionReport, convert, hashed_split
from mdkif_dataset_mimic import mdkif_datasets
from mdkif_dataset_mimic.mimic_iv import MimicIV
from mdkif_dataset_mimic.readmission import readmitted

III, MIMIC = mdkif_datasets()
OPEN_DATA = Path(os.environ.get("MDKIF_TEST_DATA", Path(__file__).parents[4] / "shared" / "data"))
DEMO = OPEN_DATA / "MIMIC-IV-demo"
needs_demo = pytest.mark.skipif(not DEMO.is_dir(), reason=f"no MIMIC-IV-demo in {OPEN_DATA}; set MDKIF_TEST_DATA")
TRAINING, TESTING = (next(str(n) for n in range(99) if hashed_split(str(n)) == split) for split in ("train", "test"))

HEADERS = {
    "note/discharge": "note_id subject_id hadm_id note_type note_seq charttime storetime text",
    "hosp/diagnoses_icd": "subject_id hadm_id seq_num icd_code icd_version",
    "hosp/procedures_icd": "subject_id hadm_id seq_num chartdate icd_code icd_version",
    "hosp/d_icd_diagnoses": "icd_code icd_version long_title",
    "hosp/prescriptions": "subject_id hadm_id pharmacy_id poe_id poe_seq order_provider_id starttime stoptime "
    "drug_type drug formulary_drug_cd gsn ndc prod_strength form_rx dose_val_rx dose_unit_rx form_val_disp "
    "form_unit_disp doses_per_24_hrs route",
    "hosp/admissions": "subject_id hadm_id admittime dischtime deathtime admission_type admit_provider_id "
    "admission_location discharge_location insurance language marital_status race edregtime edouttime "
    "hospital_expire_flag",
}


@pytest.fixture
def mimic(tmp_path):
    """A writer of gzipped tables in `hosp` and `note` of the folder it returns."""

    def write(tables, hosp="hosp", note="note"):
        for name, lines in tables.items():
            module, table = name.split("/")
            path = tmp_path / {"hosp": hosp, "note": note}[module] / f"{table}.csv.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            with gzip.open(path, "wt", newline="") as file:
                written = csv.DictWriter(file, HEADERS[name].split())
                written.writeheader()
                written.writerows(lines)
        return tmp_path

    return write


def note(admission, text="", patient=TRAINING, kind="DS", seq="1", **fields):
    ids = {"note_id": f"{patient}-{kind}-{seq}", "subject_id": patient, "hadm_id": admission}
    times = {"note_type": kind, "note_seq": seq, "charttime": "2150-01-05 00:00:00"}
    return {**ids, **times, "text": text or f"Note {admission}.", **fields}


def code(admission, icd, version="9", patient=TRAINING):
    return {"subject_id": patient, "hadm_id": admission, "icd_code": icd, "icd_version": version}


def tables(*codes, notes=(), **others):
    notes = notes or [note(admission) for admission in sorted({one["hadm_id"] for one in codes})]
    return {"note/discharge": notes, "hosp/diagnoses_icd": codes, **{f"hosp/{k}": v for k, v in others.items()}}


def records(folder, conversion=None, **options):
    return list(convert(MIMIC, folder, conversion or ConversionReport(), options))


# Folders


@pytest.mark.parametrize(
    ("hosp", "notes"),
    [
        ("hosp", "note"),
        ("mimiciv/hosp", "mimic-iv-note/note"),
        ("mimiciv/3.1/hosp", "mimic-iv-note/2.2/note"),
        ("physionet.org/files/mimiciv/3.1/hosp", "physionet.org/files/mimic-iv-note/2.2/note"),
    ],
)
def test_mimic_iv_folder_may_hold_hosp_and_note_or_be_a_parent_of_both(mimic, hosp, notes):
    [record] = records(mimic(tables(code("11", "4019")), hosp, notes))
    assert (record.id, record.source) == ("mimic-iv/icd/11", "discharge.csv.gz:2")


def test_mimic_iv_views_are_those_of_mimic_iii_with_the_same_options():
    assert MIMIC.options == III.options


def test_mimic_iv_missing_folders_are_named(mimic, tmp_path):
    with pytest.raises(BadInput, match=r"no folder hosp in or below .*; hosp comes with MIMIC-IV\."):
        records(tmp_path)
    folder = mimic({"hosp/diagnoses_icd": [code("11", "4019")]})
    with pytest.raises(BadInput, match=r"no folder note in or below .*; note comes with MIMIC-IV-Note\."):
        records(folder)
    with pytest.raises(BadInput, match="no folder hosp"):
        records(folder / "hosp" / "diagnoses_icd.csv.gz")
    (folder / "note").mkdir()
    with pytest.raises(BadInput, match=r"has no discharge table: get note/discharge\.csv\.gz"):
        records(folder)


def test_mimic_iv_two_releases_are_too_many(mimic):
    assert len(records(mimic(tables(code("11", "4019")), "mimiciv/2.2/hosp"))) == 1
    with pytest.raises(BadInput, match=r"are 2 folders hosp below .*: give the folder of one release"):
        records(mimic(tables(code("11", "4019")), "mimiciv/3.1/hosp"))


@pytest.mark.parametrize("view", ["icd", "medication", "readmission"])
@pytest.mark.parametrize("content", [b"", b"x" * 99, gzip.compress(os.urandom(5000))[:2000]])
def test_mimic_iv_damaged_notes_are_bad_input(mimic, view, content):
    folder = mimic(tables(code("11", "4019")))
    (folder / "note" / "discharge.csv.gz").write_bytes(content)
    with pytest.raises(BadInput, match=r"cannot be read|has no column"):
        records(folder, view=view)


# Notes


def test_mimic_iv_reports_come_before_addenda_and_other_notes_do_not_count(mimic):
    notes = [
        note("11", "Addendum.", kind="AD", charttime="2150-01-01 00:00:00"),
        note("11", "Report."),
        note("11", "Chest film.", kind="RR"),
        note("", "Nobody's."),
    ]
    conversion = ConversionReport()
    [record] = records(mimic(tables(code("11", "4019"), notes=notes)), conversion)
    assert record.context == "Report.\n\nAddendum."
    assert conversion.left_out == {
        "note that is no discharge summary": 1,
        "discharge summary without an admission": 1,
    }


@pytest.mark.parametrize(
    ("policy", "text"), [("keep", "Dr. ___ saw [**him**]."), ("drop", "Dr.  saw [**him**]."), ("mask", None)]
)
def test_mimic_iv_mark_is_three_underscores(mimic, policy, text):
    notes = [note("11", "Dr. ___ saw [**him**].")]
    [record] = records(mimic(tables(code("11", "4019"), notes=notes)), deid=policy)
    assert record.context == (text or "Dr. [masked] saw [**him**].")


# Codes


def test_mimic_iv_codes_are_named_by_version_and_never_merged(mimic):
    codes = [code("11", "V1000"), code("11", "V1000", "10"), code("12", "E8788"), code("12", "E8788", "10")]
    found = records(mimic(tables(*codes)))
    assert [set(record.labels) for record in found] == [
        {"ICD-9 V10.00", "ICD-10 V10.00"},
        {"ICD-9 E878.8", "ICD-10 E87.88"},
    ]


@pytest.mark.parametrize(
    ("version", "options"),
    [("both", {"ICD-9 034.0", "ICD-10 J02.0"}), (9, {"ICD-9 034.0"}), ("10", {"ICD-10 J02.0"})],
)
def test_mimic_iv_one_version_alone_may_be_asked_for(mimic, version, options):
    conversion = ConversionReport()
    found = records(mimic(tables(code("11", "0340"), code("12", "J020", "10"))), conversion, version=version)
    assert {option for record in found for option in record.options} == options
    assert conversion.left_out.get("row of diagnoses_icd of the other version", 0) == 2 - len(options)


def test_mimic_iv_titles_say_the_version_since_both_share_them(mimic):
    shared = "Acute kidney failure, unspecified"
    titles = [
        {"icd_code": "5849", "icd_version": "9", "long_title": shared},
        {"icd_code": "N179", "icd_version": "10", "long_title": shared},
    ]
    found = records(mimic(tables(code("11", "5849"), code("12", "N179", "10"), d_icd_diagnoses=titles)))
    assert [record.answer for record in found] == [f"{shared} (ICD-9)", f"{shared} (ICD-10)"]


def test_mimic_iv_padded_codes_and_procedures_are_read(mimic):
    done = [{**code("11", "0066   "), "chartdate": "2150-01-01"}, code("11", "5A1955Z", "10")]
    [record] = records(mimic(tables(code("11", "I10    ", "10"), procedures_icd=done)), codes="both")
    assert record.labels == ("ICD-10 5A1955Z", "ICD-10 I10", "ICD-9 00.66")


def test_mimic_iv_rows_without_code_or_version_are_left_out_or_malformed(mimic):
    folder = mimic(tables(code("11", "4019"), code("11", ""), code("11", "secret", "11")))
    with pytest.raises(
        BadInput, match=r"diagnoses_icd\.csv\.gz:4 has an icd_version that is neither 9 nor 10"
    ) as error:
        records(folder)
    assert "secret" not in str(error.value)
    lenient = ConversionReport(skip_bad=True)
    assert len(records(folder, lenient)) == 1
    assert lenient.left_out["row of diagnoses_icd without a code"] == 1
    assert lenient.left_out.total() == 2


def test_mimic_iv_split_of_ones_own_may_be_given_as_camls_is(mimic, tmp_path):
    for split, admission in (("train", "11"), ("dev", "12"), ("test", "13")):
        (tmp_path / f"{split}_full_hadm_ids.csv").write_text(admission)
    codes = [code(admission, "4019", patient=TESTING) for admission in ("11", "12", "13", "14")]
    found = records(mimic(tables(*codes)), caml=tmp_path)
    assert [record.split for record in found] == ["train", "dev", "test"]


# Medication and readmission


def test_mimic_iv_medication_view_reads_what_was_known_at_admission(mimic):
    given = {"subject_id": TRAINING, "hadm_id": "11", "drug_type": "MAIN", "drug": "Insulin Glargine"}
    text = (
        "Chief Complaint:\nThirst\n\nHistory of Present Illness:\nMs. ___ was thirsty.\n\n"
        "Brief Hospital Course:\nGiven insulin.\n\nDischarge Medications:\n1. Insulin\n"
    )
    content = tables(notes=[note("11", text)], prescriptions=[given, {**given, "drug_type": "BASE", "drug": "D5W"}])
    [record] = records(mimic(content), view="medication")
    assert (record.id, record.context) == ("mimic-iv/medication/11", "Thirst Ms. ___ was thirsty.")
    assert record.options == record.labels == ("insulin glargine",)


def stay(admission, start, end, kind="EW EMER.", died="0"):
    return {
        "subject_id": TRAINING,
        "hadm_id": admission,
        "admittime": f"{start} 10:00:00",
        "dischtime": f"{end} 10:00:00",
        "admission_type": kind,
        "hospital_expire_flag": died,
    }


@pytest.mark.parametrize(
    ("kind", "answers"),
    [
        ("EW EMER.", ["yes", "no"]),
        ("OBSERVATION ADMIT", ["yes", "no"]),
        ("ELECTIVE", ["no", "no"]),
        ("SURGICAL SAME DAY ADMISSION", ["no", "no"]),
    ],
)
def test_mimic_iv_readmission_view_passes_over_planned_admissions(mimic, kind, answers):
    stays = [stay("11", "2150-01-01", "2150-01-05"), stay("12", "2150-01-20", "2150-01-25", kind)]
    folder = mimic(tables(notes=[note("11"), note("12")], admissions=stays))
    assert [record.answer for record in records(folder, view="readmission", balance="no")] == answers


def test_mimic_iv_death_that_only_the_flag_tells_is_a_death(mimic):
    stays = [stay("11", "2150-01-01", "2150-01-05"), stay("12", "2150-01-20", "2150-01-25", died="1")]
    folder = mimic(tables(notes=[note("11"), note("12")], admissions=stays))
    assert [record.id for record in records(folder, view="readmission")] == ["mimic-iv/readmission/11"]


@needs_demo
def test_mimic_iv_open_tables_are_read():
    edition = MimicIV(DEMO / "hosp", DEMO / "hosp")
    conversion = ConversionReport()
    codes = [mark.name for mark in edition.codes("diagnoses", conversion)]
    versions = [sum(name.startswith(f"ICD-{version} ") for name in codes) for version in (9, 10)]
    assert (versions, "ICD-10 E10.65" in codes) == ([11, 35], True)
    assert conversion.left_out == {"row of diagnoses_icd without a code": 7}
    soon = readmitted(edition.stays(ConversionReport()), ConversionReport())
    assert (len(soon), sum(soon.values())) == (22, 5)
    assert (soon["20000"], soon["19999"]) == (True, False)  # what follows 19999 within 30 days is elective
    with pytest.raises(BadInput, match="no folder note"):
        records(DEMO)
