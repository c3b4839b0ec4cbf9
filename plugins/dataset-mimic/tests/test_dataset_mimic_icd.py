"""The ICD view of MIMIC-III: labels by frequency among training patients, both tables, and the split of CAML."""

import csv

import pytest
from mdkif import BadInput, ConversionReport, convert, hashed_split
from mdkif.testing import assert_conforms
from mdkif_dataset_mimic import mdkif_datasets

MIMIC, _ = mdkif_datasets()
HEADERS = {
    "NOTEEVENTS": "ROW_ID SUBJECT_ID HADM_ID CHARTDATE CHARTTIME STORETIME CATEGORY DESCRIPTION CGID ISERROR TEXT",
    "DIAGNOSES_ICD": "ROW_ID SUBJECT_ID HADM_ID SEQ_NUM ICD9_CODE",
    "PROCEDURES_ICD": "ROW_ID SUBJECT_ID HADM_ID SEQ_NUM ICD9_CODE",
    "D_ICD_DIAGNOSES": "ROW_ID ICD9_CODE SHORT_TITLE LONG_TITLE",
    "D_ICD_PROCEDURES": "ROW_ID ICD9_CODE SHORT_TITLE LONG_TITLE",
}
TRAINING, TESTING = (next(str(n) for n in range(99) if hashed_split(str(n)) == split) for split in ("train", "test"))


@pytest.fixture
def mimic(tmp_path):
    """A writer of tables in the official layout."""

    def write(**content):
        for table, lines in content.items():
            with (tmp_path / f"{table}.csv").open("w", newline="") as file:
                written = csv.DictWriter(file, HEADERS[table].split(), quoting=csv.QUOTE_ALL)
                written.writeheader()
                written.writerows(lines)
        return tmp_path

    return write


def coded(patient, admission, *icd9):
    return [{"SUBJECT_ID": patient, "HADM_ID": admission, "SEQ_NUM": "1", "ICD9_CODE": code} for code in icd9]


def title(icd9, short):
    return {"ICD9_CODE": icd9, "SHORT_TITLE": short, "LONG_TITLE": f"{short} in full"}


def stays(*patients_and_codes):
    """Notes and diagnoses of admissions "100", "101", …"""
    notes, codes = [], []
    for number, (patient, *icd9) in enumerate(patients_and_codes, 100):
        summary = {"CATEGORY": "Discharge summary", "DESCRIPTION": "Report", "CHARTDATE": "2150-01-01"}
        notes.append({"SUBJECT_ID": patient, "HADM_ID": str(number), "TEXT": f"Note {number}.", **summary})
        codes += coded(patient, str(number), *icd9)
    return {"NOTEEVENTS": notes, "DIAGNOSES_ICD": codes}


def records(folder, conversion=None, **options):
    return list(convert(MIMIC, folder, conversion or ConversionReport(), options))


def test_mimic_icd_mimic_conforms():
    assert_conforms("mdkif-dataset-mimic")


# Labels


def test_mimic_icd_record_asks_for_all_documented_diagnoses_by_title(mimic):
    tables = stays((TRAINING, "4019", "486"), (TRAINING, "486"))
    [first, second] = records(mimic(**tables, D_ICD_DIAGNOSES=[title("4019", "Hypertension NOS")]))
    assert first.query == "Which diagnoses are documented? Choose from: 486; Hypertension NOS."
    assert (first.answer, first.labels) == ("486; Hypertension NOS", ("486", "Hypertension NOS"))
    assert (second.answer, second.group, second.context) == ("486", TRAINING, "Note 101.")
    assert [first.query[start:end] for start, end in first.spans] == list(first.labels)


def test_mimic_icd_labels_are_the_most_frequent_codes_counted_once_per_admission(mimic):
    tables = stays((TRAINING, "0010", "0010", "0010"), (TRAINING, "0020"), (TRAINING, "0020", "0030"))
    found = records(mimic(**tables), top=2)
    assert {record.options for record in found} == {("002.0", "001.0")}


def test_mimic_icd_labels_are_chosen_without_the_patients_of_other_splits(mimic):
    tables = stays((TESTING, "0010"), (TESTING, "0010"), (TRAINING, "0020"))
    found = records(mimic(**tables), top=1, keep_empty="yes")
    assert {record.options for record in found} == {("002.0",)}
    assert [record.split for record in found] == ["test", "test", "train"]


def test_mimic_icd_codes_of_admissions_without_a_note_do_not_count(mimic):
    tables = stays((TRAINING, "0010"), (TRAINING, "0020"))
    for number in range(5):
        tables["DIAGNOSES_ICD"] += coded(TRAINING, f"9{number}", "0030")
    assert {record.options for record in records(mimic(**tables))} == {("001.0", "002.0")}


@pytest.mark.parametrize(
    ("keep_empty", "answers"), [("no", ["001.0"] * 2), ("yes", ["001.0", "none", "001.0", "none"])]
)
def test_mimic_icd_admissions_with_none_of_the_labels_are_kept_only_when_asked(mimic, keep_empty, answers):
    tables = stays((TRAINING, "0010"), (TRAINING, "0020"), (TRAINING, "0010"), (TRAINING,))
    conversion = ConversionReport()
    found = records(mimic(**tables), conversion, top="1", keep_empty=keep_empty)
    assert [record.answer for record in found] == answers
    assert conversion.left_out["admission with none of the 1 labels"] == 4 - len(answers)


@pytest.mark.parametrize(("top", "count"), [(10, 10), ("20", 20), (50, 50), (200, 60), ("full", 62)])
def test_mimic_icd_top_is_how_many_codes_are_labels_and_full_has_those_of_test_patients_too(mimic, top, count):
    learnt = [f"{number}0" for number in range(100, 160)]
    tables = stays((TRAINING, *learnt), (TESTING, "1000", "2000", "2010"))
    [first, _] = records(mimic(**tables), top=top)
    assert len(first.options) == len(set(first.options)) == count


def test_mimic_icd_leading_zeros_keep_codes_apart(mimic):
    tables = stays((TRAINING, "0340", "3400"), (TRAINING, "0340"))
    assert [record.labels for record in records(mimic(**tables))] == [("034.0", "340.0"), ("034.0",)]


def test_mimic_icd_codes_with_one_title_stay_two_labels(mimic):
    titles = [title("0010", "Cholera"), title("0011", "Cholera"), title("0020", "Typhoid")]
    [record] = records(mimic(**stays((TRAINING, "0010", "0011", "0020")), D_ICD_DIAGNOSES=titles))
    assert record.options == ("Cholera (001.0)", "Cholera (001.1)", "Typhoid")


def test_mimic_icd_patient_is_in_one_split(mimic):
    splits: dict[str, set[str]] = {}
    for record in records(mimic(**stays(*[(str(n % 30), "0010") for n in range(120)]))):
        splits.setdefault(record.group, set()).add(record.split)
    assert len(splits) == 30
    assert all(len(names) == 1 for names in splits.values())
    assert set.union(*splits.values()) == {"train", "dev", "test"}


# Diagnoses and procedures


@pytest.mark.parametrize(
    ("codes", "query", "labels"),
    [
        ("diagnoses", "Which diagnoses are documented?", ("389.3",)),
        ("procedures", "Which procedures are documented?", ("00.66", "38.93")),
        ("both", "Which diagnoses and procedures are documented?", ("00.66", "38.93", "389.3")),
    ],
)
def test_mimic_icd_codes_get_the_dot_of_their_table_before_they_are_merged(mimic, codes, query, labels):
    tables = stays((TRAINING, "3893"))
    [record] = records(mimic(**tables, PROCEDURES_ICD=coded(TRAINING, "100", "3893", "0066")), codes=codes)
    assert record.labels == labels
    assert record.query.startswith(f"{query} Choose from: ")


def test_mimic_icd_each_table_of_codes_has_its_titles(mimic):
    folder = mimic(
        **stays((TRAINING, "3893")),
        PROCEDURES_ICD=coded(TRAINING, "100", "3893"),
        D_ICD_DIAGNOSES=[title("3893", "Hearing loss")],
        D_ICD_PROCEDURES=[title("3893", "Venous cath NEC")],
    )
    [record] = records(folder, codes="both")
    assert set(record.options) == {"Hearing loss", "Venous cath NEC"}


# The split of CAML


def lists(folder, labels="full", **splits):
    folder.mkdir(exist_ok=True)
    for split in ("train", "dev", "test"):
        (folder / f"{split}_{labels}_hadm_ids.csv").write_text("".join(f"{one}\n" for one in splits.get(split, ())))
    return str(folder)


def test_mimic_icd_camls_lists_give_the_split_and_say_who_is_left_out(mimic, tmp_path):
    caml = lists(tmp_path / "caml", train=["100", "101"], dev=["102"], test=["103", "999"])
    patients = [TESTING, TESTING, TRAINING, TRAINING, TRAINING]
    conversion = ConversionReport()
    found = records(mimic(**stays(*((patient, "0010") for patient in patients))), conversion, caml=caml)
    assert {record.id[-3:]: record.split for record in found} == {
        "100": "train",
        "101": "train",
        "102": "dev",
        "103": "test",
    }
    assert conversion.left_out == {"admission outside the split": 1}


def test_mimic_icd_camls_training_admissions_choose_the_labels(mimic, tmp_path):
    caml = lists(tmp_path / "caml", train=["100"], test=["101", "102"])
    tables = stays((TESTING, "0010"), (TRAINING, "0020"), (TRAINING, "0020"))
    assert {record.options for record in records(mimic(**tables), caml=caml, keep_empty="yes")} == {("001.0",)}


@pytest.mark.parametrize(("top", "split"), [(50, "test"), (10, "train"), ("full", "train")])
def test_mimic_icd_lists_of_fifty_labels_are_read_for_fifty_labels(mimic, tmp_path, top, split):
    lists(tmp_path / "caml", train=["100", "101"])
    caml = lists(tmp_path / "caml", "50", train=["101"], test=["100"])
    [first, _] = records(mimic(**stays((TRAINING, "0010"), (TRAINING, "0010"))), caml=caml, top=top)
    assert first.split == split


def test_mimic_icd_one_kind_of_list_is_enough(mimic, tmp_path):
    caml = lists(tmp_path / "caml", "50", train=["100"])
    [record] = records(mimic(**stays((TRAINING, "0010"))), caml=caml, top=10)
    assert record.split == "train"


def test_mimic_icd_lists_may_have_windows_line_ends_and_a_mark(mimic, tmp_path):
    caml = lists(tmp_path / "caml")
    (tmp_path / "caml" / "train_full_hadm_ids.csv").write_bytes(b"\xef\xbb\xbf100\r\n\r\n101\r\n")
    assert len(records(mimic(**stays((TRAINING, "0010"), (TRAINING, "0010"))), caml=caml)) == 2


@pytest.mark.parametrize(
    ("line", "reason"), [("secret", "is not an HADM_ID"), ("100", "is an admission that another split has")]
)
def test_mimic_icd_wrong_line_of_a_list_is_named_or_skipped(mimic, tmp_path, line, reason):
    caml = lists(tmp_path / "caml", train=["100"], test=[line])
    folder = mimic(**stays((TRAINING, "0010")))
    with pytest.raises(BadInput, match=rf"test_full_hadm_ids\.csv:1 {reason}") as error:
        records(folder, caml=caml)
    assert "secret" not in str(error.value)
    lenient = ConversionReport(skip_bad=True)
    assert [record.split for record in records(folder, lenient, caml=caml)] == ["train"]
    assert lenient.left_out.total() == 1


def test_mimic_icd_lists_that_are_not_there_are_named(mimic, tmp_path):
    with pytest.raises(BadInput, match=r"no train_full_hadm_ids\.csv, .* give mimicdata/mimic3"):
        records(mimic(**stays((TRAINING, "0010"))), caml=str(tmp_path))


# Wrong options and tables


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"view": "xx"}, "'view' is 'xx': choose from icd, medication, readmission"),
        ({"codes": "drugs"}, "'codes' is 'drugs': choose from diagnoses, procedures, both"),
        ({"deid": "hide"}, "'deid' is 'hide': choose from keep, drop, mask"),
        ({"keep_empty": "maybe"}, "'keep_empty' is 'maybe'"),
        ({"top": 0}, "'top' is 0: give a whole number from 1 up, or full"),
        ({"top": "1e3"}, "'top' is '1e3'"),
        ({"version": "10"}, "'version' is '10': choose from both, 9"),
        ({"view": "readmission", "caml": "folder"}, "'caml' is a split for ICD coding"),
    ],
)
def test_mimic_icd_wrong_option_names_the_choices(mimic, options, message):
    with pytest.raises(BadInput, match=message):
        records(mimic(**stays((TRAINING, "0010"))), **options)


def test_mimic_icd_notes_of_no_training_patient_give_no_labels(mimic):
    with pytest.raises(BadInput, match=r"No training patient in .* has a code .* give the complete tables"):
        records(mimic(**stays((TESTING, "0010"))))
