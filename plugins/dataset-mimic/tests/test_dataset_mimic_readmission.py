"""The readmission view: ClinicalBERT's rule, which note is read, how it is balanced, and how it may leak."""

import csv
import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mdkif import BadInput, ConversionReport, convert
from mdkif_dataset_mimic import mdkif_datasets
from mdkif_dataset_mimic.edition import Stay
from mdkif_dataset_mimic.mimic_iii import MimicIII
from mdkif_dataset_mimic.readmission import balanced, readmitted

MIMIC, _ = mdkif_datasets()
OPEN_DATA = Path(os.environ.get("MDKIF_TEST_DATA", Path(__file__).parents[4] / "shared" / "data"))
DEMO = OPEN_DATA / "MIMIC-III-demo"
needs_demo = pytest.mark.skipif(not DEMO.is_dir(), reason=f"no MIMIC-III-demo in {OPEN_DATA}; set MDKIF_TEST_DATA")

NOTES = "ROW_ID SUBJECT_ID HADM_ID CHARTDATE CHARTTIME STORETIME CATEGORY DESCRIPTION CGID ISERROR TEXT"
ADMISSIONS = (
    "ROW_ID SUBJECT_ID HADM_ID ADMITTIME DISCHTIME DEATHTIME ADMISSION_TYPE ADMISSION_LOCATION DISCHARGE_LOCATION "
    "INSURANCE LANGUAGE RELIGION MARITAL_STATUS ETHNICITY EDREGTIME EDOUTTIME DIAGNOSIS HOSPITAL_EXPIRE_FLAG "
    "HAS_CHARTEVENTS_DATA"
)


def stay(patient, admission, start, end, kind="EMERGENCY", died=""):
    times = {"ADMITTIME": f"{start} 10:00:00", "DISCHTIME": f"{end} 10:00:00", "DEATHTIME": died}
    flag = {"HOSPITAL_EXPIRE_FLAG": "1" if died else "0"}
    return {"SUBJECT_ID": patient, "HADM_ID": admission, "ADMISSION_TYPE": kind, **times, **flag}


def note(patient, admission, text="", date="2150-01-05", **fields):
    summary = {"CATEGORY": "Discharge summary", "DESCRIPTION": "Report", "CHARTDATE": date, **fields}
    return {"SUBJECT_ID": patient, "HADM_ID": admission, "TEXT": text or f"Note {admission}.", **summary}


def write(folder, name, header, lines):
    with (folder / f"{name}.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, header.split(), quoting=csv.QUOTE_ALL)
        table.writeheader()
        table.writerows(lines)


def labels(folder, *stays, conversion=None):
    conversion = conversion or ConversionReport()
    write(folder, "ADMISSIONS", ADMISSIONS, stays)
    return readmitted(MimicIII.at(folder).stays(conversion), conversion)


def records(folder, stays, notes=None, conversion=None, **options):
    write(folder, "ADMISSIONS", ADMISSIONS, stays)
    notes = notes or [note(one["SUBJECT_ID"], one["HADM_ID"]) for one in stays]
    write(folder, "NOTEEVENTS", NOTES, notes)
    return list(convert(MIMIC, folder, conversion or ConversionReport(), {"view": "readmission", **options}))


# The rule


@pytest.mark.parametrize(
    ("back", "soon"),
    [
        ("2150-01-20 10:00:00", True),
        ("2150-02-04 09:59:59", True),
        ("2150-02-04 10:00:00", False),
        ("2150-02-04 10:00:01", False),
        ("2151-01-20 10:00:00", False),
    ],
)
def test_mimic_readmission_thirty_times_24_hours_after_discharge_are_too_late(tmp_path, back, soon):
    first, second = stay("1", "11", "2150-01-01", "2150-01-05"), stay("1", "12", "2150-03-01", "2151-03-09")
    assert labels(tmp_path, first, {**second, "ADMITTIME": back}) == {"11": soon, "12": False}


def test_mimic_readmission_next_admission_is_by_time_not_by_row_and_of_the_same_patient(tmp_path):
    found = labels(
        tmp_path,
        stay("1", "13", "2150-06-01", "2150-06-05"),
        stay("1", "11", "2150-01-01", "2150-01-05"),
        stay("2", "21", "2150-01-10", "2150-01-12"),
        stay("1", "12", "2150-01-20", "2150-01-25"),
    )
    assert found == {"11": True, "12": False, "13": False, "21": False}


def test_mimic_readmission_elective_admission_is_passed_over_for_the_one_after_it(tmp_path):
    elective = stay("1", "12", "2150-01-10", "2150-01-12", "ELECTIVE")
    late, soon = stay("1", "13", "2150-06-01", "2150-06-05"), stay("1", "13", "2150-01-20", "2150-01-25", "URGENT")
    first = stay("1", "11", "2150-01-01", "2150-01-05")
    assert labels(tmp_path, first, elective) == {"11": False, "12": False}
    assert labels(tmp_path, first, elective, late) == {"11": False, "12": False, "13": False}
    assert labels(tmp_path, first, elective, soon) == {"11": True, "12": True, "13": False}


def test_mimic_readmission_admission_that_begins_before_the_discharge_counts(tmp_path):
    overlapping = stay("1", "12", "2150-01-04", "2150-01-09")
    assert labels(tmp_path, stay("1", "11", "2150-01-01", "2150-01-05"), overlapping) == {"11": True, "12": False}


def test_mimic_readmission_of_two_at_one_time_the_later_row_is_the_next(tmp_path):
    found = labels(
        tmp_path, stay("1", "11", "2150-01-01", "2150-01-05"), stay("1", "12", "2150-01-01", "2150-01-05", "ELECTIVE")
    )
    assert found == {"11": False, "12": False}
    found = labels(
        tmp_path, stay("1", "12", "2150-01-01", "2150-01-05", "ELECTIVE"), stay("1", "11", "2150-01-01", "2150-01-05")
    )
    assert found == {"12": True, "11": False}


def test_mimic_readmission_newborns_and_deaths_have_no_label_but_may_be_the_next_admission(tmp_path):
    conversion = ConversionReport()
    found = labels(
        tmp_path,
        stay("1", "11", "2150-01-01", "2150-01-05", "NEWBORN"),
        stay("1", "12", "2150-01-20", "2150-01-25"),
        stay("1", "13", "2150-02-01", "2150-02-05", died="2150-02-05 09:00:00"),
        conversion=conversion,
    )
    assert found == {"12": True}
    assert conversion.left_out == {"admission of a newborn": 1, "admission that ended in death": 1}


@given(st.lists(st.tuples(st.integers(0, 120), st.integers(0, 40), st.booleans()), max_size=7))
def test_mimic_readmission_rule_is_the_same_as_asking_every_later_admission(plan):
    start = datetime(2150, 1, 1)
    begins = sorted({day for day, _, _ in plan})
    stays = [
        Stay("1", str(day), start + timedelta(day), start + timedelta(day + length), elective, False, False)
        for day, (_, length, elective) in zip(begins, plan, strict=False)
    ]
    expected = {}
    for number, one in enumerate(stays):
        later = [other.admitted for other in stays[number + 1 :] if not other.elective]
        expected[one.admission] = bool(later) and (later[0] - one.discharged).total_seconds() < 30 * 86400
    assert readmitted(stays, ConversionReport()) == expected


@needs_demo
def test_mimic_readmission_demo_has_ten_readmissions_among_89_admissions():
    conversion = ConversionReport()
    found = readmitted(MimicIII.at(DEMO).stays(conversion), conversion)
    assert (len(found), sum(found.values())) == (89, 10)
    assert conversion.left_out == {"admission that ended in death": 40}


# Records

PAIR = [stay("1", "11", "2150-01-01", "2150-01-05"), stay("1", "12", "2150-01-20", "2150-01-25")]


def test_mimic_readmission_record_asks_yes_or_no(tmp_path):
    first, second = records(tmp_path, PAIR)
    assert first.query == "Will the patient be readmitted within 30 days? Choose from: yes; no."
    assert (first.answer, second.answer) == ("yes", "no")
    assert (first.id, first.group, first.source) == ("mimic-iii/readmission/11", "1", "NOTEEVENTS.csv:2")
    assert [first.query[start:end] for start, end in first.spans] == ["yes"]


def test_mimic_readmission_last_row_of_a_discharge_summary_is_read_alone(tmp_path):
    conversion = ConversionReport()
    notes = [
        note("1", "11", "Addendum.", "2150-01-09", DESCRIPTION="Addendum"),
        note("1", "12"),
        note("1", "11", "Same day, later row.", "2150-01-09"),
        note("1", "11", "Report.", "2150-01-05"),
        note("1", "11", "Nursing.", "2150-01-20", CATEGORY="Nursing"),
        note("1", "11", "Wrong patient.", "2150-01-20", ISERROR="1"),
    ]
    found = {record.id[-2:]: record.context for record in records(tmp_path, PAIR, notes, conversion)}
    assert found == {"11": "Same day, later row.", "12": "Note 12."}
    assert conversion.left_out["part of a discharge summary before the last"] == 2


def test_mimic_readmission_who_is_left_out_is_counted(tmp_path):
    stays = [
        *PAIR,
        stay("2", "21", "2150-01-01", "2150-01-05", "NEWBORN"),
        stay("3", "31", "2150-01-01", "2150-01-05", died="2150-01-05 08:00:00"),
        stay("4", "41", "2150-01-01", "2150-01-05"),
    ]
    notes = [note("1", "11"), note("1", "12"), note("2", "21"), note("3", "31"), note("9", "99")]
    conversion = ConversionReport()
    assert len(records(tmp_path, stays, notes, conversion)) == 2
    assert conversion.left_out == {
        "admission of a newborn": 1,
        "admission that ended in death": 1,
        "admission without a discharge summary": 1,
        "discharge summary of an admission that is left out or unknown": 3,
    }


def hospital(patients):
    """Patients of whom every fourth is readmitted: one positive in five admissions."""
    for patient in range(patients):
        yield stay(str(patient), f"{patient}0", "2150-01-01", "2150-01-05")
        if patient % 4 == 0:
            yield stay(str(patient), f"{patient}1", "2150-01-20", "2150-01-25")


@pytest.mark.parametrize(("balance", "answers"), [("yes", (25, 25)), ("no", (25, 100))])
def test_mimic_readmission_there_are_as_many_negatives_as_positives_unless_all_are_asked_for(
    tmp_path, balance, answers
):
    conversion = ConversionReport()
    found = [record.answer for record in records(tmp_path, hospital(100), summaries(100), conversion, balance=balance)]
    assert (found.count("yes"), found.count("no")) == answers
    assert conversion.left_out["negative beyond the number of positives"] == 100 - answers[1]


def summaries(patients):
    return [note(one["SUBJECT_ID"], one["HADM_ID"]) for one in hospital(patients)]


@pytest.mark.parametrize("split_by", ["patient", "admission"])
def test_mimic_readmission_chosen_negatives_come_from_every_split(tmp_path, split_by):
    found = records(tmp_path, hospital(1000), summaries(1000), split_by=split_by)
    shares = {split: [r.answer for r in found if r.split == split].count("no") for split in ("train", "dev", "test")}
    assert 170 < shares["train"] < 230
    assert 10 < shares["dev"] < 45
    assert 10 < shares["test"] < 45


@given(st.dictionaries(st.integers(0, 10**6).map(str), st.booleans(), max_size=40), st.randoms())
def test_mimic_readmission_choice_depends_on_the_admissions_alone(soon, random):
    shuffled = list(soon.items())
    random.shuffle(shuffled)
    kept = balanced(soon)
    assert kept == balanced(dict(shuffled))
    positive = {admission for admission, yes in soon.items() if yes}
    assert positive <= kept
    assert len(kept) == len(positive) + min(len(positive), len(soon) - len(positive))


def test_mimic_readmission_splits_by_patient_keep_a_patient_together(tmp_path):
    def straddling(split_by):
        splits: dict[str, set[str]] = {}
        for record in records(tmp_path, hospital(400), summaries(400), balance="no", split_by=split_by):
            splits.setdefault(record.id.rpartition("/")[2][:-1], set()).add(record.split)
        return sum(len(names) > 1 for names in splits.values())

    assert straddling("patient") == 0
    assert straddling("admission") > 10


@pytest.mark.parametrize(("option", "value"), [("balance", "half"), ("split_by", "note")])
def test_mimic_readmission_wrong_option_names_the_choices(tmp_path, option, value):
    with pytest.raises(BadInput, match=f"'{option}' is '{value}': choose from"):
        records(tmp_path, PAIR, **{option: value})


@pytest.mark.parametrize("time", ["", "secret", "2150-13-01 10:00:00"])
def test_mimic_readmission_admission_without_times_is_named_or_skipped(tmp_path, time):
    stays = [*PAIR, {**stay("2", "21", "2150-01-01", "2150-01-05"), "DISCHTIME": time}]
    with pytest.raises(BadInput, match=r"ADMISSIONS\.csv:4 does not have ADMITTIME and DISCHTIME as times") as error:
        records(tmp_path, stays)
    assert "secret" not in str(error.value)
    lenient = ConversionReport(skip_bad=True)
    assert len(records(tmp_path, stays, conversion=lenient)) == 2
    assert sum(n for reason, n in lenient.left_out.items() if reason.startswith("malformed")) == 1


def test_mimic_readmission_time_with_a_zone_is_a_time(tmp_path):
    first, second = PAIR
    assert labels(tmp_path, {**first, "DISCHTIME": "2150-01-05T10:00:00Z"}, second) == {"11": True, "12": False}
