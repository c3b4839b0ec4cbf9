"""The tables of MIMIC-III and the notes: official columns, consistent stays, and no title told."""

import csv
import gzip
import io
import re
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from mdkif_synthetic import generate
from mdkif_synthetic.knowledge import by_code, conditions, drugs, procedures
from mdkif_synthetic.notes import HINT
from mdkif_synthetic.patients import admit

HEADERS = {
    "ADMISSIONS": "ROW_ID SUBJECT_ID HADM_ID ADMITTIME DISCHTIME DEATHTIME ADMISSION_TYPE ADMISSION_LOCATION "
    "DISCHARGE_LOCATION INSURANCE LANGUAGE RELIGION MARITAL_STATUS ETHNICITY EDREGTIME EDOUTTIME DIAGNOSIS "
    "HOSPITAL_EXPIRE_FLAG HAS_CHARTEVENTS_DATA",
    "PATIENTS": "ROW_ID SUBJECT_ID GENDER DOB DOD DOD_HOSP DOD_SSN EXPIRE_FLAG",
    "NOTEEVENTS": "ROW_ID SUBJECT_ID HADM_ID CHARTDATE CHARTTIME STORETIME CATEGORY DESCRIPTION CGID ISERROR TEXT",
    "DIAGNOSES_ICD": "ROW_ID SUBJECT_ID HADM_ID SEQ_NUM ICD9_CODE",
    "PROCEDURES_ICD": "ROW_ID SUBJECT_ID HADM_ID SEQ_NUM ICD9_CODE",
    "D_ICD_DIAGNOSES": "ROW_ID ICD9_CODE SHORT_TITLE LONG_TITLE",
    "D_ICD_PROCEDURES": "ROW_ID ICD9_CODE SHORT_TITLE LONG_TITLE",
    "PRESCRIPTIONS": "ROW_ID SUBJECT_ID HADM_ID ICUSTAY_ID STARTDATE ENDDATE DRUG_TYPE DRUG DRUG_NAME_POE "
    "DRUG_NAME_GENERIC FORMULARY_DRUG_CD GSN NDC PROD_STRENGTH DOSE_VAL_RX DOSE_UNIT_RX FORM_VAL_DISP "
    "FORM_UNIT_DISP ROUTE",
}
SECTIONS = (
    "Chief Complaint",
    "History of Present Illness",
    "Past Medical History",
    "Medications on Admission",
    "Brief Hospital Course",
    "Discharge Medications",
)

Table = list[dict[str, str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("synthetic") / "hospital"
    generate(directory, seed=7, patients=400, only=["mimic-iii"])
    return directory / "MIMIC-III"


@pytest.fixture(scope="module")
def tables(folder) -> dict[str, Table]:
    read = {}
    for name in HEADERS:
        with gzip.open(folder / f"{name}.csv.gz") as raw:
            read[name] = list(csv.DictReader(io.TextIOWrapper(raw, encoding="utf-8", newline="")))
    return read


@pytest.fixture(scope="module")
def coded(tables) -> dict[str, list[str]]:
    """The diagnosis codes of each admission."""
    codes = defaultdict(list)
    for row in tables["DIAGNOSES_ICD"]:
        if row["ICD9_CODE"]:
            codes[row["HADM_ID"]].append(row["ICD9_CODE"])
    return codes


@pytest.fixture(scope="module")
def reports(tables) -> dict[str, str]:
    """The text of each admission's discharge summary, white space collapsed."""
    return {row["HADM_ID"]: " ".join(row["TEXT"].split()) for row in tables["NOTEEVENTS"] if is_report(row)}


def is_report(row: dict[str, str]) -> bool:
    return (row["CATEGORY"], row["DESCRIPTION"], row["ISERROR"]) == ("Discharge summary", "Report", "")


def time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S")


@pytest.mark.parametrize("name", HEADERS)
def test_synthetic_mimic_headers_are_the_official_ones_and_rows_are_numbered(tables, name):
    assert list(tables[name][0]) == HEADERS[name].split()
    assert [int(row["ROW_ID"]) for row in tables[name]] == list(range(1, len(tables[name]) + 1))
    assert not any(None in row or None in row.values() for row in tables[name])


def test_synthetic_mimic_texts_are_quoted_and_numbers_and_nulls_are_not(folder):
    first, second = gzip.decompress((folder / "ADMISSIONS.csv.gz").read_bytes()).decode().splitlines()[:2]
    assert first.startswith('"ROW_ID","SUBJECT_ID"')
    assert re.match(
        r'1,\d{6},\d{6},\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,[-0-9: ]+,[-0-9: ]*,"(EMERGENCY|URGENT|ELECTIVE)",', second
    )
    assert '""' not in second


def test_synthetic_mimic_identifiers_lie_outside_the_real_ranges(tables):
    assert {len(row["HADM_ID"]) for row in tables["ADMISSIONS"]} == {6}
    assert min(int(row["SUBJECT_ID"]) for row in tables["PATIENTS"]) > 99999
    assert min(int(row["HADM_ID"]) for row in tables["ADMISSIONS"]) > 199999


def test_synthetic_mimic_keys_hold_between_tables(tables):
    patients = {row["SUBJECT_ID"] for row in tables["PATIENTS"]}
    stays = {row["HADM_ID"]: row["SUBJECT_ID"] for row in tables["ADMISSIONS"]}
    assert len(patients) == len(tables["PATIENTS"]) == 400
    assert len(stays) == len(tables["ADMISSIONS"])
    assert set(stays.values()) == patients
    for name in ("DIAGNOSES_ICD", "PROCEDURES_ICD", "PRESCRIPTIONS", "NOTEEVENTS"):
        for row in tables[name]:
            assert row["SUBJECT_ID"] in patients
            assert not row["HADM_ID"] or stays[row["HADM_ID"]] == row["SUBJECT_ID"]


def test_synthetic_mimic_patients_have_one_to_three_stays_in_order(tables):
    by_patient = defaultdict(list)
    for row in tables["ADMISSIONS"]:
        assert time(row["ADMITTIME"]) < time(row["DISCHTIME"])
        assert 2100 <= time(row["ADMITTIME"]).year <= 2200
        by_patient[row["SUBJECT_ID"]].append(row)
    assert {len(stays) for stays in by_patient.values()} == {1, 2, 3}
    for stays in by_patient.values():
        for one, two in pairwise(stays):
            assert time(one["DISCHTIME"]) < time(two["ADMITTIME"])
            assert one["HOSPITAL_EXPIRE_FLAG"] == "0"


def test_synthetic_mimic_some_die_in_hospital_and_the_tables_agree(tables):
    dead = {row["SUBJECT_ID"]: row for row in tables["ADMISSIONS"] if row["HOSPITAL_EXPIRE_FLAG"] == "1"}
    assert 3 <= len(dead) <= 40
    for row in tables["ADMISSIONS"]:
        assert (
            bool(row["DEATHTIME"])
            == (row["HOSPITAL_EXPIRE_FLAG"] == "1")
            == (row["DISCHARGE_LOCATION"] == "DEAD/EXPIRED")
        )
    for row in tables["PATIENTS"]:
        assert (row["EXPIRE_FLAG"] == "1") == bool(row["DOD"]) == (row["SUBJECT_ID"] in dead)


def test_synthetic_mimic_some_come_back_within_thirty_days_and_their_notes_often_hint_at_it(tables, reports):
    hospital = admit(7, 400)
    stays = hospital.stays()
    soon = {str(stay.id) for _, stay in stays if stay.soon_back}
    next_stay = {one.id: two for patient in hospital.patients for one, two in pairwise(patient.admissions)}
    for _, stay in stays:
        follows = next_stay.get(stay.id)
        within = follows is not None and follows.admitted - stay.discharged < timedelta(days=30)
        assert stay.soon_back == within
    assert 0.05 < len(soon) / len(stays) < 0.3
    hinted = {number for number, text in reports.items() if HINT in text}
    assert len(hinted & soon) / len(soon) > 0.5
    assert len(hinted - soon) / (len(stays) - len(soon)) < 0.2


def test_synthetic_mimic_chronic_conditions_stay_with_their_patient(tables, coded):
    by_patient = defaultdict(list)
    for row in tables["ADMISSIONS"]:
        by_patient[row["SUBJECT_ID"]].append({c for c in coded[row["HADM_ID"]] if by_code()[c].chronic})
    assert all(all(codes == stays[0] for codes in stays) for stays in by_patient.values())


def test_synthetic_mimic_stays_have_two_to_five_different_diagnoses_in_sequence(tables, coded):
    assert {len(codes) for codes in coded.values()} == {2, 3, 4, 5}
    assert all(len(codes) == len(set(codes)) for codes in coded.values())
    sequence = defaultdict(list)
    for row in tables["DIAGNOSES_ICD"]:
        if row["SEQ_NUM"]:
            sequence[row["HADM_ID"]].append(int(row["SEQ_NUM"]))
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in sequence.values())


def test_synthetic_mimic_few_rows_have_no_code_as_in_the_real_table(tables):
    empty = [row for row in tables["DIAGNOSES_ICD"] if not row["ICD9_CODE"]]
    assert 1 <= len(empty) <= len(tables["ADMISSIONS"]) // 50
    assert all(not row["SEQ_NUM"] for row in empty)


def test_synthetic_mimic_codes_keep_their_zeros_and_are_described(tables):
    described = {row["ICD9_CODE"]: row["LONG_TITLE"] for row in tables["D_ICD_DIAGNOSES"]}
    assert described == {condition.code: condition.long_title for condition in conditions()}
    assert {row["ICD9_CODE"] for row in tables["DIAGNOSES_ICD"]} - {""} <= described.keys()
    assert "0389" in {row["ICD9_CODE"] for row in tables["DIAGNOSES_ICD"]}
    assert {row["ICD9_CODE"] for row in tables["PROCEDURES_ICD"]} <= {procedure.code for procedure in procedures()}
    assert "0066" in {row["ICD9_CODE"] for row in tables["PROCEDURES_ICD"]}


def test_synthetic_mimic_only_the_sex_that_can_has_a_condition(tables, coded):
    sexes = {row["SUBJECT_ID"]: row["GENDER"] for row in tables["PATIENTS"]}
    for row in tables["ADMISSIONS"]:
        assert all(by_code()[code].sex in ("", sexes[row["SUBJECT_ID"]]) for code in coded[row["HADM_ID"]])


@pytest.mark.parametrize("seed", range(6))
def test_synthetic_mimic_ten_most_frequent_diagnoses_are_neither_rare_nor_universal(seed):
    stays = admit(seed, 400).stays()
    counts = Counter(condition.code for _, stay in stays for condition in stay.diagnoses)
    shares = [count / len(stays) for _, count in counts.most_common(11)]
    assert all(0.10 <= share <= 0.40 for share in shares[:10]), shares
    assert shares[10] < shares[0] / 2
    assert len(counts) == len(conditions())


def test_synthetic_mimic_procedures_are_rarer_than_the_ten_most_frequent_diagnoses(tables, coded):
    tenth = Counter(code for codes in coded.values() for code in codes).most_common(10)[-1][1]
    assert max(Counter(row["ICD9_CODE"] for row in tables["PROCEDURES_ICD"]).values()) < tenth


def test_synthetic_mimic_drugs_belong_to_the_diagnoses_of_the_stay(tables, coded):
    names = {name.title(): name for name in drugs()}
    treated = defaultdict(set)
    for row in tables["PRESCRIPTIONS"]:
        if row["DRUG_TYPE"] == "MAIN":
            treated[row["HADM_ID"]].add(names[row["DRUG"]])
    for number, codes in coded.items():
        fitting = [set(by_code()[code].drugs) for code in codes]
        assert all(treated[number] & some for some in fitting)
        assert treated[number] <= set().union(*fitting)


def test_synthetic_mimic_drug_codes_keep_their_zeros_and_some_are_unknown(tables):
    rows = tables["PRESCRIPTIONS"]
    assert {row["DRUG_TYPE"] for row in rows} == {"MAIN", "BASE"}
    assert all(re.fullmatch(r"0\d{10}|0", row["NDC"]) for row in rows)
    assert any(row["NDC"] == "0" for row in rows if row["DRUG_TYPE"] == "MAIN")
    assert all(re.fullmatch(r"0\d{5}", row["GSN"]) for row in rows if row["DRUG_TYPE"] == "MAIN")


def test_synthetic_mimic_every_stay_has_one_report_and_some_have_more(tables):
    per_stay = Counter(row["HADM_ID"] for row in tables["NOTEEVENTS"] if is_report(row))
    assert per_stay.keys() == {row["HADM_ID"] for row in tables["ADMISSIONS"]}
    assert set(per_stay.values()) == {1}
    kinds = Counter((row["CATEGORY"], row["DESCRIPTION"], row["ISERROR"]) for row in tables["NOTEEVENTS"])
    assert kinds["Discharge summary", "Addendum", ""] >= 5
    assert kinds["Discharge summary", "Report", "1"] >= 5
    assert all(kinds[category, "Report", ""] for category in ("Nursing", "Radiology", "Physician "))


def test_synthetic_mimic_discharge_summaries_have_a_date_and_no_time(tables):
    for row in tables["NOTEEVENTS"]:
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", row["CHARTDATE"])
        assert bool(row["CHARTTIME"]) == (row["CATEGORY"] != "Discharge summary")
        assert row["HADM_ID"] or row["CATEGORY"] != "Discharge summary"
    assert any(not row["HADM_ID"] for row in tables["NOTEEVENTS"])


def test_synthetic_mimic_no_report_contains_an_icd_title_of_its_diagnoses_or_procedures(tables, coded, reports):
    done = defaultdict(list)
    for row in tables["PROCEDURES_ICD"]:
        done[row["HADM_ID"]].append(row["ICD9_CODE"])
    known = {procedure.code: procedure for procedure in procedures()}
    for number, text in reports.items():
        told = [by_code()[code] for code in coded[number]] + [known[code] for code in done[number]]
        for thing in told:
            assert thing.short_title.lower() not in text.lower()
            assert thing.long_title.lower() not in text.lower()


def test_synthetic_mimic_every_report_tells_each_of_its_diagnoses(coded, reports):
    for number, text in reports.items():
        for condition in (by_code()[code] for code in coded[number]):
            named = any(name.lower() in text.lower() for name in condition.synonyms)
            shown = any(sign.lower() in text.lower() for sign in condition.signs)
            given = any(drug.lower() in text.lower() for drug in condition.drugs)
            assert named or (shown and given), (number, condition.name)


def test_synthetic_mimic_reports_also_name_conditions_the_patient_has_not(coded, reports):
    distracted = 0
    for number, text in reports.items():
        others = [condition for condition in conditions() if condition.code not in coded[number]]
        phrases = [phrase for other in others for phrase in (*other.synonyms, *other.findings)]
        denial = re.search(r"(No evidence of|Denies any history of|Ruled out for|Negative for) ([^.]*)\.", text)
        assert denial, number
        distracted += any(phrase in denial.group(2) for phrase in phrases)
    assert distracted == len(reports)


def test_synthetic_mimic_reports_deny_nothing_the_patient_has(coded, reports):
    for number, text in reports.items():
        (denied,) = re.findall(r"(?:No evidence of|Denies any history of|Ruled out for|Negative for) ([^.]*)\.", text)
        said = [phrase for code in coded[number] for phrase in (*by_code()[code].synonyms, *by_code()[code].findings)]
        assert not set(denied.split(" or ")) & set(said)


def test_synthetic_mimic_reports_are_short_and_in_sections(tables):
    lengths = []
    for row in filter(is_report, tables["NOTEEVENTS"]):
        text = row["TEXT"]
        assert [text.index(f"{section}:\n") for section in SECTIONS] == sorted(text.index(f"{s}:\n") for s in SECTIONS)
        clinical = text[text.index(SECTIONS[0]) : text.rindex("[**First Name8")]
        clinical = re.sub(r"(Medications on Admission|Discharge Medications):\n(.+\n)+", "", clinical)
        for section in SECTIONS:
            clinical = clinical.replace(f"{section}:\n", "")
        lengths.append(len(re.sub(r"\[\*\*.*?\*\*\]", "", clinical).split()))
        assert max(map(len, text.splitlines())) <= 80
    lengths.sort()
    assert lengths[0] >= 20
    assert lengths[-1] <= 100
    assert 40 <= lengths[len(lengths) // 2] <= 70
    assert lengths[len(lengths) // 10] >= 30


def test_synthetic_mimic_names_and_dates_are_masked_as_in_the_real_notes(tables, reports):
    admitted = {row["HADM_ID"]: time(row["ADMITTIME"]) for row in tables["ADMISSIONS"]}
    for number, text in reports.items():
        day = admitted[number]
        assert f"Admission Date: [**{day.year}-{day.month}-{day.day}**]" in text
        assert re.search(r"\[\*\*First Name8 \(NamePattern2\) \d+\*\*\]", text)
        assert text.startswith("[**Synthetic Hospital**]")
        assert not re.search(r"\d{4}-\d", re.sub(r"\[\*\*.*?\*\*\]", "", text))


def section(text: str, header: str) -> list[str]:
    """The lines of a section of a note as it is written."""
    return text.split(f"{header}:\n")[1].split("\n\n")[0].splitlines()


def test_synthetic_mimic_lists_the_drugs_of_the_stay_without_what_only_a_hospital_gives(tables, coded):
    died = {row["HADM_ID"] for row in tables["ADMISSIONS"] if row["DEATHTIME"]}
    given = defaultdict(set)
    for row in tables["PRESCRIPTIONS"]:
        if row["DRUG_TYPE"] == "MAIN" and row["ROUTE"] != "IV":
            strength = f"{row['DOSE_VAL_RX']} {row['DOSE_UNIT_RX']} {row['FORM_UNIT_DISP']} {row['ROUTE']}"
            given[row["HADM_ID"]].add(f"{row['DRUG']} {strength}")
    for row in filter(is_report, tables["NOTEEVENTS"]):
        number = row["HADM_ID"]
        before, after = (
            {re.sub(r"^\d+\. ", "", line) for line in section(row["TEXT"], header)} - {"None."}
            for header in ("Medications on Admission", "Discharge Medications")
        )
        assert after == (set() if number in died else given[number])
        assert before <= given[number]
        chronic = {drug.title() for code in coded[number] if by_code()[code].chronic for drug in by_code()[code].drugs}
        assert all(any(line.startswith(f"{drug} ") for drug in chronic) for line in before)


def test_synthetic_mimic_lists_of_drugs_are_numbered_or_say_that_there_is_none(tables):
    empty = 0
    for row in filter(is_report, tables["NOTEEVENTS"]):
        lines = section(row["TEXT"], "Discharge Medications")
        empty += lines == ["None."]
        assert lines == ["None."] or [line.split(".")[0] for line in lines] == [str(n + 1) for n in range(len(lines))]
    assert empty


def test_synthetic_mimic_admissions_are_of_three_types_and_some_later_ones_are_planned(tables):
    firsts: dict[str, str] = {}
    kinds, later = Counter[str](), Counter[str]()
    for row in tables["ADMISSIONS"]:
        kinds[row["ADMISSION_TYPE"]] += 1
        later[row["ADMISSION_TYPE"]] += row["SUBJECT_ID"] in firsts
        firsts.setdefault(row["SUBJECT_ID"], row["HADM_ID"])
        assert bool(row["EDREGTIME"]) == bool(row["EDOUTTIME"]) == (row["ADMISSION_TYPE"] == "EMERGENCY")
    assert kinds.keys() == {"ELECTIVE", "URGENT", "EMERGENCY"}
    assert kinds["EMERGENCY"] > 3 * kinds["ELECTIVE"]
    assert later["ELECTIVE"] >= 3


def test_synthetic_mimic_unplanned_returns_within_thirty_days_can_be_told_from_the_note(tables, reports):
    """Label as Huang et al. 2019 do: the next admission that is not elective begins within thirty days."""
    by_patient = defaultdict(list)
    for row in tables["ADMISSIONS"]:
        by_patient[row["SUBJECT_ID"]].append(row)
    told = Counter[tuple[bool, bool]]()
    for stays in by_patient.values():
        for position, stay in enumerate(stays):
            if stay["DEATHTIME"]:
                continue
            unplanned = [row for row in stays[position + 1 :] if row["ADMISSION_TYPE"] != "ELECTIVE"]
            soon = bool(unplanned) and time(unplanned[0]["ADMITTIME"]) - time(stay["DISCHTIME"]) < timedelta(days=30)
            told[soon, HINT in reports[stay["HADM_ID"]]] += 1
    positive = told[True, True] + told[True, False]
    assert positive >= 30
    assert told[True, True] / positive > 0.5
    assert told[False, True] / (told[False, True] + told[False, False]) < 0.2
