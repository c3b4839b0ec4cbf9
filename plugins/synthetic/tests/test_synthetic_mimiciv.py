"""The tables of MIMIC-IV: official columns in lower case, the stays of MIMIC-III, two versions of ICD, masked notes."""

import csv
import gzip
import io
import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from mdkif_synthetic import generate
from mdkif_synthetic.knowledge import by_code, conditions, procedures

HEADERS = {
    "hosp/patients": "subject_id gender anchor_age anchor_year anchor_year_group dod",
    "hosp/admissions": "subject_id hadm_id admittime dischtime deathtime admission_type admit_provider_id "
    "admission_location discharge_location insurance language marital_status race edregtime edouttime "
    "hospital_expire_flag",
    "hosp/diagnoses_icd": "subject_id hadm_id seq_num icd_code icd_version",
    "hosp/procedures_icd": "subject_id hadm_id seq_num chartdate icd_code icd_version",
    "hosp/d_icd_diagnoses": "icd_code icd_version long_title",
    "hosp/d_icd_procedures": "icd_code icd_version long_title",
    "hosp/prescriptions": "subject_id hadm_id pharmacy_id poe_id poe_seq order_provider_id starttime stoptime "
    "drug_type drug formulary_drug_cd gsn ndc prod_strength form_rx dose_val_rx dose_unit_rx form_val_disp "
    "form_unit_disp doses_per_24_hrs route",
    "note/discharge": "note_id subject_id hadm_id note_type note_seq charttime storetime text",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("synthetic") / "hospital"
    generate(directory, seed=8, patients=150, only=["mimic-iii", "mimic-iv"])
    return directory


def read(path: Path) -> list[dict[str, str]]:
    with gzip.open(path) as raw:
        return list(csv.DictReader(io.TextIOWrapper(raw, encoding="utf-8", newline="")))


@pytest.fixture(scope="module")
def tables(folder) -> dict[str, list[dict[str, str]]]:
    return {name: read(folder / "MIMIC-IV" / f"{name}.csv.gz") for name in HEADERS}


@pytest.mark.parametrize("name", HEADERS)
def test_synthetic_mimic_iv_headers_are_the_official_ones_and_rows_are_whole(tables, name):
    assert list(tables[name][0]) == HEADERS[name].split()
    assert not any(None in row or None in row.values() for row in tables[name])


def test_synthetic_mimic_iv_texts_are_quoted_only_where_they_must_be(folder):
    first, second = gzip.decompress((folder / "MIMIC-IV/hosp/admissions.csv.gz").read_bytes()).decode().split("\n")[:2]
    assert first == ",".join(HEADERS["hosp/admissions"].split())
    assert '"' not in second
    titles = gzip.decompress((folder / "MIMIC-IV/hosp/d_icd_diagnoses.csv.gz").read_bytes()).decode()
    assert 'I509,10,"Heart failure, unspecified"\n' in titles


def test_synthetic_mimic_iv_numbers_have_eight_digits_and_lie_outside_the_real_ranges(tables):
    assert all(re.fullmatch(r"98\d{6}", row["subject_id"]) for row in tables["hosp/patients"])
    assert all(re.fullmatch(r"99\d{6}", row["hadm_id"]) for row in tables["hosp/admissions"])


def test_synthetic_mimic_iv_stays_are_those_of_mimic_iii(folder, tables):
    older = read(folder / "MIMIC-III" / "ADMISSIONS.csv.gz")
    kinds = {"EMERGENCY": "EW EMER.", "URGENT": "URGENT", "ELECTIVE": "ELECTIVE"}
    assert [
        (row["admittime"], row["dischtime"], row["deathtime"], row["admission_type"], row["hospital_expire_flag"])
        for row in tables["hosp/admissions"]
    ] == [
        (
            row["ADMITTIME"],
            row["DISCHTIME"],
            row["DEATHTIME"],
            kinds[row["ADMISSION_TYPE"]],
            row["HOSPITAL_EXPIRE_FLAG"],
        )
        for row in older
    ]


def test_synthetic_mimic_iv_keys_hold_between_tables(tables):
    patients = {row["subject_id"] for row in tables["hosp/patients"]}
    stays = {row["hadm_id"]: row["subject_id"] for row in tables["hosp/admissions"]}
    assert set(stays.values()) == patients
    for name in ("hosp/diagnoses_icd", "hosp/procedures_icd", "hosp/prescriptions", "note/discharge"):
        assert all(stays[row["hadm_id"]] == row["subject_id"] for row in tables[name])
    assert {row["hadm_id"] for row in tables["note/discharge"]} == stays.keys()


def test_synthetic_mimic_iv_dead_have_a_date(tables):
    dead = {row["subject_id"] for row in tables["hosp/admissions"] if row["hospital_expire_flag"] == "1"}
    assert dead
    assert {row["subject_id"] for row in tables["hosp/patients"] if row["dod"]} == dead
    assert all(re.fullmatch(r"(\d{4}-\d\d-\d\d)?", row["dod"]) for row in tables["hosp/patients"])


def test_synthetic_mimic_iv_stays_are_coded_in_one_of_two_versions(folder, tables):
    versions, codes = defaultdict(set), defaultdict(list)
    for row in tables["hosp/diagnoses_icd"]:
        versions[row["hadm_id"]].add(row["icd_version"])
        codes[row["hadm_id"]].append(row["icd_code"])
    assert all(len(found) == 1 for found in versions.values())
    share = Counter(version for found in versions.values() for version in found)
    assert share.keys() == {"9", "10"}
    assert min(share.values()) > len(versions) / 4
    older = defaultdict(list)
    for row in read(folder / "MIMIC-III" / "DIAGNOSES_ICD.csv.gz"):
        if row["ICD9_CODE"]:
            older[str(int(row["HADM_ID"]) + 99_000_000)].append(row["ICD9_CODE"])
    newer = {condition.icd10: condition.code for condition in conditions()}
    assert older == {number: [newer.get(code, code) for code in found] for number, found in codes.items()}


def test_synthetic_mimic_iv_codes_keep_their_zeros_and_have_a_title_in_their_version(tables):
    titles = {(row["icd_code"], row["icd_version"]): row["long_title"] for row in tables["hosp/d_icd_diagnoses"]}
    assert len(titles) == len(tables["hosp/d_icd_diagnoses"]) == 2 * len(conditions())
    assert {(row["icd_code"], row["icd_version"]) for row in tables["hosp/diagnoses_icd"]} <= titles.keys()
    assert titles["0389", "9"] == by_code()["0389"].long_title
    assert titles["A419", "10"] == "Sepsis, unspecified organism"


def test_synthetic_mimic_iv_procedures_are_those_of_mimic_iii_in_the_version_of_their_stay(folder, tables):
    versions = {row["hadm_id"]: row["icd_version"] for row in tables["hosp/diagnoses_icd"]}
    newer = {procedure.icd10: procedure.code for procedure in procedures()}
    assert [
        (row["subject_id"], row["hadm_id"], row["seq_num"], newer.get(row["icd_code"], row["icd_code"]))
        for row in tables["hosp/procedures_icd"]
    ] == [
        (
            str(int(row["SUBJECT_ID"]) + 98_000_000),
            str(int(row["HADM_ID"]) + 99_000_000),
            row["SEQ_NUM"],
            row["ICD9_CODE"],
        )
        for row in read(folder / "MIMIC-III" / "PROCEDURES_ICD.csv.gz")
    ]
    assert {row["icd_version"] for row in tables["hosp/procedures_icd"]} == {"9", "10"}
    for row in tables["hosp/procedures_icd"]:
        assert row["icd_version"] == versions[row["hadm_id"]]
        assert (row["icd_code"] in newer) == (row["icd_version"] == "10")


def test_synthetic_mimic_iv_procedures_were_done_during_the_stay(tables):
    stays = {row["hadm_id"]: row for row in tables["hosp/admissions"]}
    days = [(row["chartdate"], stays[row["hadm_id"]]) for row in tables["hosp/procedures_icd"]]
    assert all(stay["admittime"][:10] <= day <= stay["dischtime"][:10] for day, stay in days)
    assert any(day > stay["admittime"][:10] for day, stay in days)


def test_synthetic_mimic_iv_titles_of_procedures_are_in_both_versions(tables):
    titles = {(row["icd_code"], row["icd_version"]): row["long_title"] for row in tables["hosp/d_icd_procedures"]}
    assert len(titles) == len(tables["hosp/d_icd_procedures"]) == 2 * len(procedures())
    assert titles["0331", "9"] == "Spinal tap"
    assert titles["009U3ZX", "10"] == "Drainage of Spinal Canal, Percutaneous Approach, Diagnostic"


def test_synthetic_mimic_iv_no_report_contains_a_title_of_its_codes(tables):
    told = defaultdict(list)
    for kind in ("diagnoses", "procedures"):
        titles = {(row["icd_code"], row["icd_version"]): row["long_title"] for row in tables[f"hosp/d_icd_{kind}"]}
        for row in tables[f"hosp/{kind}_icd"]:
            told[row["hadm_id"]].append(titles[row["icd_code"], row["icd_version"]])
    for row in tables["note/discharge"]:
        text = " ".join(row["text"].lower().split())
        assert not [title for title in told[row["hadm_id"]] if title.lower() in text]


def test_synthetic_mimic_iv_prescriptions_are_those_of_mimic_iii(folder, tables):
    older = {
        (str(int(row["HADM_ID"]) + 99_000_000), row["DRUG"])
        for row in read(folder / "MIMIC-III" / "PRESCRIPTIONS.csv.gz")
        if row["DRUG_TYPE"] == "MAIN"
    }
    main = [row for row in tables["hosp/prescriptions"] if row["drug_type"] == "MAIN"]
    assert {(row["hadm_id"], row["drug"]) for row in main} == older
    assert len({row["pharmacy_id"] for row in main}) == len(main)
    assert all(re.fullmatch(r"0\d{10}|0", row["ndc"]) for row in main)
    base = [row for row in tables["hosp/prescriptions"] if row["drug_type"] == "BASE"]
    assert base
    assert {row["pharmacy_id"] for row in base} <= {row["pharmacy_id"] for row in main if row["route"] == "IV"}


def test_synthetic_mimic_iv_notes_are_masked_with_underscores_and_numbered(tables):
    for row in tables["note/discharge"]:
        assert row["note_id"] == f"{row['subject_id']}-DS-{row['note_seq']}"
        assert row["note_type"] == "DS"
        assert row["charttime"] < row["storetime"]
        assert "[**" not in row["text"]
        assert "Admission Date:  ___ " in row["text"]
        assert "Medications on Admission:\n" in row["text"]
        assert "Discharge Medications:\n" in row["text"]
        assert row["text"].startswith("Synthetic Hospital\n")
    assert len({row["note_id"] for row in tables["note/discharge"]}) == len(tables["note/discharge"])


# What both editions tell


@pytest.fixture(scope="module")
def older(folder) -> dict[str, list[dict[str, str]]]:
    return {path.name.partition(".")[0]: read(path) for path in (folder / "MIMIC-III").glob("*.csv.gz")}


def test_synthetic_mimic_iv_both_editions_know_the_same_patients(older, tables):
    came = {row["SUBJECT_ID"]: row["ADMITTIME"] for row in reversed(older["ADMISSIONS"])}
    for one, two in zip(older["PATIENTS"], tables["hosp/patients"], strict=True):
        assert int(two["subject_id"]) - int(one["SUBJECT_ID"]) == 98_000_000
        assert two["gender"] == one["GENDER"]
        assert two["dod"] == one["DOD"][:10]
        first = came[one["SUBJECT_ID"]]
        assert two["anchor_year"] == first[:4]
        younger = first[5:10] < one["DOB"][5:10]
        assert int(two["anchor_age"]) == int(first[:4]) - int(one["DOB"][:4]) - younger


def test_synthetic_mimic_iv_both_editions_say_the_same_of_every_admission_in_their_own_words(older, tables):
    words = {
        "DISCHARGE_LOCATION": {"SNF": "SKILLED NURSING FACILITY", "DEAD/EXPIRED": "DIED"},
        "INSURANCE": {"Private": "Other"},
        "LANGUAGE": {"ENGL": "ENGLISH", "SPAN": "?", "": "?"},
    }
    same = ("DISCHARGE_LOCATION", "INSURANCE", "LANGUAGE", "MARITAL_STATUS", "EDREGTIME", "EDOUTTIME", "DEATHTIME")
    for one, two in zip(older["ADMISSIONS"], tables["hosp/admissions"], strict=True):
        told = {column: words.get(column, {}).get(one[column], one[column]) for column in same}
        assert told == {column: two[column.lower()] for column in same}
    for column in words:
        assert len({row[column] for row in older["ADMISSIONS"]}) >= 3


def test_synthetic_mimic_iv_what_is_of_a_person_does_not_change_between_stays(older):
    for column in ("INSURANCE", "LANGUAGE", "RELIGION", "MARITAL_STATUS"):
        found = defaultdict(set)
        for row in older["ADMISSIONS"]:
            found[row["SUBJECT_ID"]].add(row[column])
        assert {len(values) for values in found.values()} == {1}, column
        assert len(set.union(*found.values())) >= 3


def test_synthetic_mimic_iv_drug_has_one_number_dose_and_route_everywhere(older, tables):
    """But for a number that is not known."""
    rows = [*older["PRESCRIPTIONS"], *({key.upper(): row[key] for key in row} for row in tables["hosp/prescriptions"])]
    numbers, facts = defaultdict(set), defaultdict(set)
    for row in rows:
        if row["DRUG_TYPE"] == "MAIN":
            numbers[row["DRUG"]].add(row["NDC"])
            facts[row["DRUG"]].add(tuple(row[column] for column in ("GSN", "DOSE_VAL_RX", "DOSE_UNIT_RX", "ROUTE")))
    known = [number for found in numbers.values() for number in found - {"0"}]
    assert len(known) == len(set(known)) == len(numbers)
    assert {len(found) for found in facts.values()} == {1}


def test_synthetic_mimic_iv_reports_of_both_editions_list_the_same_drugs(older, tables):
    def lists(text: str) -> list[str]:
        return [
            text.split(f"{header}:\n")[1].split("\n\n")[0]
            for header in ("Medications on Admission", "Discharge Medications")
        ]

    texts = {
        str(int(row["HADM_ID"]) + 99_000_000): row["TEXT"]
        for row in older["NOTEEVENTS"]
        if (row["CATEGORY"], row["DESCRIPTION"], row["ISERROR"]) == ("Discharge summary", "Report", "")
    }
    assert len(tables["note/discharge"]) == len(texts)
    for row in tables["note/discharge"]:
        assert lists(row["text"]) == lists(texts[row["hadm_id"]])
