"""The MIMIC-III converter on small tables in the official layout, and its readers on the open demo."""

import csv
import gzip
import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mdkif import BadInput, Conversion, convert
from mdkif.core.conversion import hashed_split
from mdkif_dataset_mimic import mdkif_datasets, tables
from mdkif_dataset_mimic.tables import (
    deidentified,
    diagnoses,
    diagnosis_code,
    diagnosis_titles,
    find_table,
    procedure_code,
    procedures,
    rows,
)

[MIMIC] = mdkif_datasets()
OPEN_DATA = Path(os.environ.get("MDKIF_TEST_DATA", Path(__file__).parents[4] / "shared" / "data"))
DEMO = OPEN_DATA / "MIMIC-III-demo"
needs_demo = pytest.mark.skipif(not DEMO.is_dir(), reason=f"no MIMIC-III-demo in {OPEN_DATA}; set MDKIF_TEST_DATA")

HEADERS = {
    "NOTEEVENTS": "ROW_ID SUBJECT_ID HADM_ID CHARTDATE CHARTTIME STORETIME CATEGORY DESCRIPTION CGID ISERROR TEXT",
    "DIAGNOSES_ICD": "ROW_ID SUBJECT_ID HADM_ID SEQ_NUM ICD9_CODE",
    "PROCEDURES_ICD": "ROW_ID SUBJECT_ID HADM_ID SEQ_NUM ICD9_CODE",
    "D_ICD_DIAGNOSES": "ROW_ID ICD9_CODE SHORT_TITLE LONG_TITLE",
}
TRAINING, TESTING = (next(str(n) for n in range(99) if hashed_split(str(n)) == split) for split in ("train", "test"))


def as_csv(header, lines):
    """Official quoting: text in double quotes, a quote inside doubled."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerows([header, *lines])
    return file.getvalue()


def note(patient, admission, text, **fields):
    given = {"CHARTDATE": "2150-01-01", "CATEGORY": "Discharge summary", "DESCRIPTION": "Report", **fields}
    return {"SUBJECT_ID": patient, "HADM_ID": admission, "TEXT": text, **given}


def code(patient, admission, icd9):
    return {"SUBJECT_ID": patient, "HADM_ID": admission, "SEQ_NUM": "1", "ICD9_CODE": icd9}


def title(icd9, short):
    return {"ICD9_CODE": icd9, "SHORT_TITLE": short, "LONG_TITLE": f"{short} in full"}


@pytest.fixture
def mimic(tmp_path):
    """A writer of tables; `lower` writes them as the demo does, `zipped` as PhysioNet ships them."""

    def write(*, lower=False, zipped=False, **content):
        for table, records in content.items():
            header = HEADERS[table].split()
            text = as_csv(
                [name.lower() if lower else name for name in header],
                [[record.get(name, "") for name in header] for record in records],
            )
            path = tmp_path / f"{table.lower() if lower else table}.csv{'.gz' if zipped else ''}"
            path.write_bytes(gzip.compress(text.encode()) if zipped else text.encode())
        return tmp_path

    return write


@pytest.fixture
def cell_limit():
    """A setter of the csv module's limit, which belongs to the whole process and so is put back."""
    before = csv.field_size_limit()
    yield csv.field_size_limit
    csv.field_size_limit(before)


def records(folder, conversion=None, **options):
    return list(convert(MIMIC, folder, conversion or Conversion(), options))


# Tables


@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("zipped", [False, True])
def test_names_headers_and_compression_may_vary(mimic, lower, zipped):
    folder = mimic(lower=lower, zipped=zipped, DIAGNOSES_ICD=[code("1", "11", "00845")])
    assert [tuple(found) for found in diagnoses(folder, Conversion())] == [("1", "11", "008.45")]


def test_a_row_knows_the_line_where_it_starts_though_notes_span_lines(mimic):
    folder = mimic(NOTEEVENTS=[note("1", "11", 'He said "no".\n\nThen:\nyes.'), note("1", "12", "Short.")])
    found = list(rows(folder, "NOTEEVENTS", ["TEXT"], Conversion()))
    assert [(row.source, row["TEXT"]) for row in found] == [
        ("NOTEEVENTS.csv:2", 'He said "no".\n\nThen:\nyes.'),
        ("NOTEEVENTS.csv:6", "Short."),
    ]


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1), max_size=5))
def test_any_text_is_read_as_it_was_written(tmp_path_factory, texts):
    folder = tmp_path_factory.mktemp("mimic")
    text = as_csv(["ROW_ID", "TEXT"], [[number, text] for number, text in enumerate(texts)])
    (folder / "NOTEEVENTS.csv").write_bytes(text.encode())
    found = [row.cells["TEXT"] for row in rows(folder, "NOTEEVENTS", ["TEXT"], Conversion())]
    assert found == texts


def test_a_note_may_be_longer_than_the_csv_modules_limit(mimic, cell_limit):
    cell_limit(131_072)
    [row] = rows(mimic(NOTEEVENTS=[note("1", "11", "long " * 50_000)]), "NOTEEVENTS", ["TEXT"], Conversion())
    assert len(row["TEXT"]) == 249_999


def test_a_cell_that_never_ends_is_malformed(mimic, monkeypatch, cell_limit):
    monkeypatch.setattr(tables, "_LONGEST_CELL", 1000)
    cell_limit(1000)
    folder = mimic(NOTEEVENTS=[note("1", "11", "secret " * 500)])
    with pytest.raises(BadInput, match=r"NOTEEVENTS.csv:2 cannot be read as CSV") as error:
        list(rows(folder, "NOTEEVENTS", ["TEXT"], Conversion()))
    assert "secret" not in str(error.value)


def test_a_row_with_other_cells_is_named_by_file_and_line_and_not_quoted(mimic):
    folder = mimic(DIAGNOSES_ICD=[code("1", "11", "486")])
    with (folder / "DIAGNOSES_ICD.csv").open("a") as file:
        file.write("9,secret\n\n1,1,11,1,4019\n")
    with pytest.raises(BadInput, match=r"DIAGNOSES_ICD.csv:3 does not have the 5 cells") as error:
        list(diagnoses(folder, Conversion()))
    assert "secret" not in str(error.value)
    lenient = Conversion(skip_bad=True)
    assert [found.code for found in diagnoses(folder, lenient)] == ["486", "401.9"]
    assert sum(lenient.left_out.values()) == 1


def test_a_missing_table_column_or_folder_is_named(mimic, tmp_path):
    with pytest.raises(BadInput, match=r"no PROCEDURES_ICD.csv or PROCEDURES_ICD.csv.gz"):
        list(procedures(tmp_path, Conversion()))
    (tmp_path / "PROCEDURES_ICD.csv").write_text("ROW_ID,SUBJECT_ID,HADM_ID\n")
    with pytest.raises(BadInput, match=r"PROCEDURES_ICD.csv has no column ICD9_CODE"):
        list(procedures(tmp_path, Conversion()))
    with pytest.raises(BadInput, match="is not a folder: give the folder"):
        find_table(tmp_path / "PROCEDURES_ICD.csv", "ADMISSIONS")


def test_a_truncated_archive_is_bad_input(mimic):
    folder = mimic(zipped=True, NOTEEVENTS=[note("1", "11", os.urandom(9000).hex())])
    path = folder / "NOTEEVENTS.csv.gz"
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(BadInput, match=r"cannot be read .*check that it is complete"):
        records(folder)


# Codes


@pytest.mark.parametrize(
    ("icd9", "dotted"),
    [
        ("00845", "008.45"),
        ("4019", "401.9"),
        ("486", "486"),
        ("V5861", "V58.61"),
        ("E8788", "E878.8"),
        ("E878", "E878"),
    ],
)
def test_the_dot_of_a_diagnosis(icd9, dotted):
    assert diagnosis_code(icd9) == dotted


@pytest.mark.parametrize(("icd9", "dotted"), [("0066", "00.66"), ("9604", "96.04"), ("331", "33.1"), ("66", "66")])
def test_the_dot_of_a_procedure(icd9, dotted):
    assert procedure_code(icd9) == dotted


def test_one_string_is_two_codes_by_its_table_of_origin(mimic):
    folder = mimic(DIAGNOSES_ICD=[code("1", "11", "3893")], PROCEDURES_ICD=[code("1", "11", "3893")])
    assert next(diagnoses(folder, Conversion())).code == "389.3"
    assert next(procedures(folder, Conversion())).code == "38.93"


def test_null_codes_are_left_out_and_counted(mimic):
    conversion = Conversion()
    folder = mimic(DIAGNOSES_ICD=[code("1", "11", ""), code("1", "11", "0340")])
    assert [found.code for found in diagnoses(folder, conversion)] == ["034.0"]
    assert conversion.left_out == {"row of DIAGNOSES_ICD without a code": 1}


def test_titles_are_the_short_ones_and_the_table_is_optional(mimic, tmp_path):
    assert diagnosis_titles(tmp_path, Conversion()) == {}
    folder = mimic(D_ICD_DIAGNOSES=[title("4019", "Hypertension  NOS"), title("486", "")])
    assert diagnosis_titles(folder, Conversion()) == {"401.9": "Hypertension NOS"}


# Notes

PNEUMONIA = [code(TRAINING, "11", "486"), code(TRAINING, "12", "486")]


def test_report_and_addenda_are_joined_in_order_though_others_lie_between(mimic):
    notes = [
        note(TRAINING, "11", "Second addendum.", DESCRIPTION="Addendum", CHARTDATE="2150-01-09"),
        note(TRAINING, "12", "Other stay."),
        note(TRAINING, "11", "First addendum.", DESCRIPTION="Addendum", CHARTDATE="2150-01-02"),
        note(TRAINING, "11", "Report.", CHARTDATE="2150-01-03"),
    ]
    found = records(mimic(NOTEEVENTS=notes, DIAGNOSES_ICD=PNEUMONIA))
    assert [(record.id, record.context, record.source) for record in found] == [
        ("mimic-iii/icd/12", "Other stay.", "NOTEEVENTS.csv:3"),
        ("mimic-iii/icd/11", "Report.\n\nFirst addendum.\n\nSecond addendum.", "NOTEEVENTS.csv:5"),
    ]


def test_other_notes_errors_and_notes_without_admission_are_left_out(mimic):
    notes = [
        note(TRAINING, "11", "Kept."),
        note(TRAINING, "11", "Wrong patient.", ISERROR="1", DESCRIPTION="Addendum"),
        note(TRAINING, "11", "Fluids.", CATEGORY="Nursing/other"),
        note(TRAINING, "", "Outpatient."),
        note(TRAINING, "11", " "),
    ]
    conversion = Conversion()
    [record] = records(mimic(NOTEEVENTS=notes, DIAGNOSES_ICD=PNEUMONIA), conversion)
    assert record.context == "Kept."
    assert conversion.left_out == {
        "note marked as an error": 1,
        "note that is no discharge summary": 1,
        "discharge summary without an admission": 1,
        "discharge summary without text": 1,
    }


MARKED = "Dr. [**Last Name (STitle) 12**] of [**Hospital1 18**] on [**2151-7-16**], age [**Age over 90 **]"


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        ("keep", MARKED),
        ("drop", "Dr.  of  on , age"),
        ("mask", "Dr. [name] of [hospital] on [date], age [age]"),
    ],
)
def test_the_policy_for_deidentified_marks_is_an_option(mimic, policy, text):
    [record] = records(mimic(NOTEEVENTS=[note(TRAINING, "11", MARKED)], DIAGNOSES_ICD=PNEUMONIA), deid=policy)
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
    ],
)
def test_a_mask_says_what_kind_of_thing_it_hides(mark, mask):
    assert deidentified(mark, "mask") == mask


# The ICD view


def stays(*patients_and_codes):
    """Notes and diagnoses of admissions "100", "101", …"""
    notes, codes = [], []
    for number, (patient, *icd9) in enumerate(patients_and_codes, 100):
        notes.append(note(patient, str(number), f"Note {number}."))
        codes += [code(patient, str(number), one) for one in icd9]
    return {"NOTEEVENTS": notes, "DIAGNOSES_ICD": codes}


def test_a_record_asks_for_all_documented_diagnoses_by_title(mimic):
    tables = stays((TRAINING, "4019", "486"), (TRAINING, "486"))
    [first, second] = records(mimic(**tables, D_ICD_DIAGNOSES=[title("4019", "Hypertension NOS")]))
    assert first.query == "Which diagnoses are documented? Choose from: 486; Hypertension NOS."
    assert (first.answer, first.labels) == ("486; Hypertension NOS", ("486", "Hypertension NOS"))
    assert (second.answer, second.group, second.context) == ("486", TRAINING, "Note 101.")
    assert [first.query[start:end] for start, end in first.spans] == list(first.labels)


def test_labels_are_the_most_frequent_codes_counted_once_per_admission(mimic):
    tables = stays((TRAINING, "0010", "0010", "0010"), (TRAINING, "0020"), (TRAINING, "0020", "0030"))
    found = records(mimic(**tables), top=2)
    assert {record.options for record in found} == {("002.0", "001.0")}


def test_labels_are_chosen_without_the_patients_of_other_splits(mimic):
    tables = stays((TESTING, "0010"), (TESTING, "0010"), (TRAINING, "0020"))
    found = records(mimic(**tables), top=1, keep_empty="yes")
    assert {record.options for record in found} == {("002.0",)}
    assert [record.split for record in found] == ["test", "test", "train"]


def test_codes_of_admissions_without_a_note_do_not_count(mimic):
    tables = stays((TRAINING, "0010"), (TRAINING, "0020"))
    tables["DIAGNOSES_ICD"] += [code(TRAINING, f"9{n}", "0030") for n in range(5)]
    assert {record.options for record in records(mimic(**tables))} == {("001.0", "002.0")}


@pytest.mark.parametrize(
    ("keep_empty", "answers"), [("no", ["001.0"] * 2), ("yes", ["001.0", "none", "001.0", "none"])]
)
def test_admissions_with_none_of_the_labels_are_kept_only_when_asked(mimic, keep_empty, answers):
    tables = stays((TRAINING, "0010"), (TRAINING, "0020"), (TRAINING, "0010"), (TRAINING,))
    conversion = Conversion()
    found = records(mimic(**tables), conversion, top="1", keep_empty=keep_empty)
    assert [record.answer for record in found] == answers
    assert conversion.left_out["admission with none of the 1 labels"] == 4 - len(answers)


def test_codes_with_one_title_stay_two_labels(mimic):
    titles = [title("0010", "Cholera"), title("0011", "Cholera"), title("0020", "Typhoid")]
    [record] = records(mimic(**stays((TRAINING, "0010", "0011", "0020")), D_ICD_DIAGNOSES=titles))
    assert record.options == ("Cholera (001.0)", "Cholera (001.1)", "Typhoid")


def test_a_patient_is_in_one_split(mimic):
    found = records(mimic(**stays(*[(str(n % 30), "0010") for n in range(120)])))
    splits = {}
    for record in found:
        splits.setdefault(record.group, set()).add(record.split)
    assert len(splits) == 30
    assert all(len(names) == 1 for names in splits.values())
    assert set.union(*splits.values()) == {"train", "dev", "test"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"view": "xx"}, "'view' is 'xx': choose from icd"),
        ({"deid": "hide"}, "'deid' is 'hide': choose from keep, drop, mask"),
        ({"keep_empty": "maybe"}, "'keep_empty' is 'maybe'"),
        ({"top": 0}, "'top' is 0: give a whole number from 1 up"),
    ],
)
def test_a_wrong_option_names_the_choices(mimic, options, message):
    with pytest.raises(BadInput, match=message):
        records(mimic(**stays((TRAINING, "0010"))), **options)


def test_tables_without_discharge_summaries_say_what_is_needed(mimic):
    folder = mimic(DIAGNOSES_ICD=PNEUMONIA)
    with pytest.raises(BadInput, match=r"reads notes and .* has no NOTEEVENTS table: get NOTEEVENTS.csv.gz"):
        records(folder)
    mimic(NOTEEVENTS=[])
    with pytest.raises(BadInput, match="has no discharge summary: get NOTEEVENTS"):
        records(folder)


def test_notes_of_no_training_patient_give_no_labels(mimic):
    with pytest.raises(BadInput, match=r"No training patient in .* give the complete tables"):
        records(mimic(**stays((TESTING, "0010"))))


def test_a_malformed_note_counts_once_though_notes_are_read_twice(mimic):
    folder = mimic(**stays((TRAINING, "0010")))
    with (folder / "NOTEEVENTS.csv").open("a") as file:
        file.write("secret\n")
    with pytest.raises(BadInput, match=r"NOTEEVENTS.csv:3"):
        records(folder)
    lenient = Conversion(skip_bad=True)
    assert len(records(folder, lenient)) == 1
    assert sum(lenient.left_out.values()) == 1


# The open demo


@needs_demo
def test_the_demo_keeps_its_leading_zeros():
    found = [(code.admission, code.code) for code in diagnoses(DEMO, Conversion())]
    assert (len(found), "008.45" in dict(map(reversed, found))) == (1761, True)
    done = [code.code for code in procedures(DEMO, Conversion())]
    assert (len(done), {"00.66", "03.31"} <= set(done)) == (506, True)


@needs_demo
@pytest.mark.parametrize(("table", "count"), [("ADMISSIONS", 129), ("PATIENTS", 100), ("PRESCRIPTIONS", 10398)])
def test_the_demo_tables_are_read_whole(table, count):
    assert sum(1 for _ in rows(DEMO, table, ["SUBJECT_ID"], Conversion())) == count


@needs_demo
def test_the_demo_has_no_notes_to_code():
    with pytest.raises(BadInput, match="has no NOTEEVENTS table"):
        records(DEMO)
