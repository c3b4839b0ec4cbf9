"""Discharge summaries of MIMIC-III: what is one, how its rows are joined, what is masked, and how little is held."""

import csv
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mdkif import BadInput, ConversionReport, convert, hashed_split
from mdkif_dataset_mimic import mdkif_datasets
from mdkif_dataset_mimic.deid import UNDERSCORES, deidentified

MIMIC, _ = mdkif_datasets()
NOTES = "ROW_ID SUBJECT_ID HADM_ID CHARTDATE CHARTTIME STORETIME CATEGORY DESCRIPTION CGID ISERROR TEXT"
CODES = "ROW_ID SUBJECT_ID HADM_ID SEQ_NUM ICD9_CODE"
TRAINING = next(str(n) for n in range(99) if hashed_split(str(n)) == "train")


def note(admission, text, **fields):
    given = {"CHARTDATE": "2150-01-01", "CATEGORY": "Discharge summary", "DESCRIPTION": "Report", **fields}
    return {"SUBJECT_ID": TRAINING, "HADM_ID": admission, "TEXT": text, **given}


def write(folder, name, header, lines):
    with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, header.split(), quoting=csv.QUOTE_ALL)
        table.writeheader()
        table.writerows(lines)


@pytest.fixture
def records(tmp_path):
    """The records of notes of one patient, whose admissions all have pneumonia."""

    def run(notes, conversion=None, **options):
        write(tmp_path, "NOTEEVENTS", NOTES, notes)
        admissions = {one["HADM_ID"] for one in notes}
        pneumonia = [{"SUBJECT_ID": TRAINING, "HADM_ID": admission, "ICD9_CODE": "486"} for admission in admissions]
        write(tmp_path, "DIAGNOSES_ICD", CODES, pneumonia)
        return list(convert(MIMIC, tmp_path, conversion or ConversionReport(), options))

    return run


def test_mimic_notes_report_and_addenda_are_joined_in_order_though_others_lie_between(records):
    notes = [
        note("11", "Second addendum.", DESCRIPTION="Addendum", CHARTDATE="2150-01-09"),
        note("12", "Other stay."),
        note("11", "First addendum.", DESCRIPTION="Addendum", CHARTDATE="2150-01-02"),
        note("11", "Report.", CHARTDATE="2150-01-03"),
    ]
    assert [(record.id, record.context, record.source) for record in records(notes)] == [
        ("mimic-iii/icd/12", "Other stay.", "NOTEEVENTS.csv:3"),
        ("mimic-iii/icd/11", "Report.\n\nFirst addendum.\n\nSecond addendum.", "NOTEEVENTS.csv:5"),
    ]


@given(st.permutations([("11", "a"), ("11", "b"), ("11", "c"), ("12", "d"), ("12", "e"), ("13", "f")]))
def test_mimic_notes_each_admission_is_one_record_whatever_the_order_of_rows(tmp_path_factory, order):
    folder = tmp_path_factory.mktemp("mimic")
    days = {text: f"2150-01-0{number}" for number, text in enumerate("abcdef", 1)}
    notes = [note(admission, text, CHARTDATE=days[text], DESCRIPTION="Addendum") for admission, text in order]
    write(folder, "NOTEEVENTS", NOTES, notes)
    coded = [{"SUBJECT_ID": TRAINING, "HADM_ID": admission, "ICD9_CODE": "486"} for admission in ("11", "12", "13")]
    write(folder, "DIAGNOSES_ICD", CODES, coded)
    found = {record.id[-2:]: record.context for record in convert(MIMIC, folder, ConversionReport())}
    assert found == {"11": "a\n\nb\n\nc", "12": "d\n\ne", "13": "f"}


def test_mimic_notes_other_notes_errors_and_notes_without_admission_are_left_out(records):
    notes = [
        note("11", "Kept."),
        note("11", "Wrong patient.", ISERROR="1", DESCRIPTION="Addendum"),
        note("11", "Fluids.", CATEGORY="Nursing/other"),
        note("", "Outpatient."),
        note("11", " "),
    ]
    conversion = ConversionReport()
    [record] = records(notes, conversion)
    assert record.context == "Kept."
    assert conversion.left_out == {
        "note marked as an error": 1,
        "note that is no discharge summary": 1,
        "discharge summary without an admission": 1,
        "discharge summary without text": 1,
    }


def test_mimic_notes_admission_with_no_note_but_errors_has_no_record(records):
    found = records([note("11", "Kept."), note("12", "Wrong patient.", ISERROR="1")])
    assert [record.id for record in found] == ["mimic-iii/icd/11"]


def test_mimic_notes_malformed_note_counts_once_though_notes_are_read_twice(records, tmp_path):
    records([note("11", "Kept.")])
    with (tmp_path / "NOTEEVENTS.csv").open("a") as file:
        file.write("secret\n")
    with pytest.raises(BadInput, match=r"NOTEEVENTS.csv:3") as error:
        list(convert(MIMIC, tmp_path, ConversionReport()))
    assert "secret" not in str(error.value)
    lenient = ConversionReport(skip_bad=True)
    assert len(list(convert(MIMIC, tmp_path, lenient))) == 1
    assert lenient.left_out.total() == 1


def test_mimic_notes_tables_without_discharge_summaries_say_what_is_needed(records, tmp_path):
    with pytest.raises(BadInput, match="has no discharge summary: get NOTEEVENTS"):
        records([note("11", "Fluids.", CATEGORY="Nursing")])
    (tmp_path / "NOTEEVENTS.csv").unlink()
    with pytest.raises(BadInput, match=r"reads notes and .* has no NOTEEVENTS table: get NOTEEVENTS.csv.gz"):
        list(convert(MIMIC, tmp_path, ConversionReport()))


@pytest.mark.parametrize("view", ["icd", "readmission"])
def test_mimic_notes_memory_does_not_grow_with_the_texts(records, tmp_path, view):
    """Twelve million characters of notes, a tenth of them discharge summaries with an addendum each."""
    long = "word " * 4000
    records(
        [
            note(str(n // 2 if n % 10 < 2 else n), long, CATEGORY="Discharge summary" if n % 10 < 2 else "Nursing")
            for n in range(600)
        ]
    )
    admissions = "SUBJECT_ID HADM_ID ADMITTIME DISCHTIME DEATHTIME ADMISSION_TYPE HOSPITAL_EXPIRE_FLAG"
    write(tmp_path, "ADMISSIONS", admissions, [])
    tracemalloc.start()
    try:
        for _ in convert(MIMIC, tmp_path, ConversionReport(), {"view": view}):
            pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_500_000


# Marks of de-identification

MARKED = "Dr. [**Last Name (STitle) 12**] of [**Hospital1 18**] on [**2151-7-16**], age [**Age over 90 **]"


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        ("keep", MARKED),
        ("drop", "Dr.  of  on , age"),
        ("mask", "Dr. [name] of [hospital] on [date], age [age]"),
    ],
)
def test_mimic_notes_policy_for_deidentified_marks_is_an_option(records, policy, text):
    [record] = records([note("11", MARKED)], deid=policy)
    assert record.context.strip() == text


@pytest.mark.parametrize(
    ("mark", "mask"),
    [
        ("[**Telephone/Fax (1) 12**]", "[phone]"),
        ("[**State/Zipcode 3**]", "[location]"),
        ("[**Known\nlastname 4**]", "[name]"),
        ("[**Month (only) 8**]", "[date]"),
        ("[**12-4**]", "[date]"),
        ("[****]", "[masked]"),
        ("[not a mark]", "[not a mark]"),
        ("___", "___"),
    ],
)
def test_mimic_notes_mask_says_what_kind_of_thing_it_hides(mark, mask):
    assert deidentified(mark, "mask") == mask


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        ("keep", "Ms. ___ on ___. ______"),
        ("drop", "Ms.  on . ______"),
        ("mask", "Ms. [masked] on [masked]. ______"),
    ],
)
def test_mimic_notes_three_underscores_are_the_mark_of_mimic_iv_and_a_longer_line_is_not(policy, text):
    assert deidentified("Ms. ___ on ___. ______", policy, UNDERSCORES) == text


@given(st.text("[*]_ ab\n", max_size=60))
def test_mimic_notes_dropping_marks_leaves_none_and_keeps_the_rest_in_order(text):
    for kept, left in ((deidentified(text, "drop"), text), (deidentified(text, "drop", UNDERSCORES), text)):
        rest = iter(left)
        assert all(character in rest for character in kept)


def test_mimic_notes_mark_that_never_closes_is_left_and_takes_no_time():
    text = "[**\n" * 100_000
    assert deidentified(text, "mask") == text
