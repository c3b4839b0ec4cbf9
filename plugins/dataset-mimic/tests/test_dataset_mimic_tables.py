"""MIMIC's tables: names, headers and compression that vary, codes that stay text, and files that cannot be read."""

import csv
import gzip
import io
import os
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mdkif import BadInput, ConversionReport, convert
from mdkif_dataset_mimic import mdkif_datasets, tables
from mdkif_dataset_mimic.codes import dotted
from mdkif_dataset_mimic.mimic_iii import MimicIII
from mdkif_dataset_mimic.tables import find_table, rows

MIMIC, _ = mdkif_datasets()
OPEN_DATA = Path(os.environ.get("MDKIF_TEST_DATA", Path(__file__).parents[4] / "shared" / "data"))
DEMO = OPEN_DATA / "MIMIC-III-demo"
needs_demo = pytest.mark.skipif(not DEMO.is_dir(), reason=f"no MIMIC-III-demo in {OPEN_DATA}; set MDKIF_TEST_DATA")

HEADERS = {
    "NOTEEVENTS": "ROW_ID SUBJECT_ID HADM_ID CHARTDATE CHARTTIME STORETIME CATEGORY DESCRIPTION CGID ISERROR TEXT",
    "DIAGNOSES_ICD": "ROW_ID SUBJECT_ID HADM_ID SEQ_NUM ICD9_CODE",
    "PROCEDURES_ICD": "ROW_ID SUBJECT_ID HADM_ID SEQ_NUM ICD9_CODE",
    "D_ICD_DIAGNOSES": "ROW_ID ICD9_CODE SHORT_TITLE LONG_TITLE",
}


def as_csv(header, lines, end="\n"):
    """Official quoting: text in double quotes, a quote inside doubled."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([header, *lines])
    return file.getvalue()


def note(admission, text, **fields):
    given = {"CHARTDATE": "2150-01-01", "CATEGORY": "Discharge summary", "DESCRIPTION": "Report", **fields}
    return {"SUBJECT_ID": "1", "HADM_ID": admission, "TEXT": text, **given}


def code(icd9, patient="1", admission="11"):
    return {"SUBJECT_ID": patient, "HADM_ID": admission, "SEQ_NUM": "1", "ICD9_CODE": icd9}


def title(icd9, short):
    return {"ICD9_CODE": icd9, "SHORT_TITLE": short, "LONG_TITLE": f"{short} in full"}


@pytest.fixture
def mimic(tmp_path):
    """A writer of tables; `lower` writes them as the demo does, `zipped` as PhysioNet ships them."""

    def write(*, lower=False, zipped=False, end="\n", encoding="utf-8", **content):
        for table, records in content.items():
            header = HEADERS[table].split()
            text = as_csv(
                [name.lower() if lower else name for name in header],
                [[record.get(name, "") for name in header] for record in records],
                end,
            ).encode(encoding)
            path = tmp_path / f"{table.lower() if lower else table}.csv{'.gz' if zipped else ''}"
            path.write_bytes(gzip.compress(text) if zipped else text)
        return tmp_path

    return write


@pytest.fixture
def cell_limit():
    """A setter of the csv module's limit, which belongs to the whole process and so is put back."""
    before = csv.field_size_limit()
    yield csv.field_size_limit
    csv.field_size_limit(before)


def codes(folder, kind="diagnoses", conversion=None):
    return list(MimicIII.at(folder).codes(kind, conversion or ConversionReport()))


def texts(folder, conversion=None):
    return [row["TEXT"] for row in rows(folder, "NOTEEVENTS", ["TEXT"], conversion or ConversionReport())]


# Rows


@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(("end", "encoding"), [("\n", "utf-8"), ("\r\n", "utf-8-sig")])
def test_mimic_tables_names_headers_compression_line_ends_and_marks_may_vary(mimic, lower, zipped, end, encoding):
    folder = mimic(lower=lower, zipped=zipped, end=end, encoding=encoding, DIAGNOSES_ICD=[code("00845")])
    assert [tuple(found) for found in codes(folder)] == [("1", "11", "008.45")]
    first_column = [row["ROW_ID"] for row in rows(folder, "DIAGNOSES_ICD", ["ROW_ID"], ConversionReport())]
    assert first_column == [""]


def test_mimic_tables_row_knows_the_line_where_it_starts_though_notes_span_lines(mimic):
    folder = mimic(NOTEEVENTS=[note("11", 'He said "no".\n\nThen:\nyes.'), note("12", "Short.")])
    found = list(rows(folder, "NOTEEVENTS", ["TEXT"], ConversionReport()))
    assert [(row.source, row["TEXT"]) for row in found] == [
        ("NOTEEVENTS.csv:2", 'He said "no".\n\nThen:\nyes.'),
        ("NOTEEVENTS.csv:6", "Short."),
    ]


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1), max_size=5))
@example(["NUL \x00 inside"])
def test_mimic_tables_any_text_is_read_as_it_was_written(tmp_path_factory, written):
    folder = tmp_path_factory.mktemp("mimic")
    text = as_csv(["ROW_ID", "TEXT"], [[number, text] for number, text in enumerate(written)])
    (folder / "NOTEEVENTS.csv").write_bytes(text.encode())
    found = [row.cells[1] for row in rows(folder, "NOTEEVENTS", ["TEXT"], ConversionReport())]
    assert found == written


def test_mimic_tables_note_may_be_longer_than_the_csv_modules_limit(mimic, cell_limit):
    cell_limit(131_072)
    assert [len(text) for text in texts(mimic(NOTEEVENTS=[note("11", "long " * 250_000)]))] == [1_249_999]


def test_mimic_tables_csv_modules_limit_is_the_processs_own_between_any_two_rows(mimic, cell_limit):
    """Whoever reads other tables meanwhile, or stops early, finds the limit as it was."""
    cell_limit(5000)
    folder = mimic(NOTEEVENTS=[note(str(number), "long " * 2000) for number in range(3)])
    stopped = rows(folder, "NOTEEVENTS", ["TEXT"], ConversionReport())
    next(stopped)
    assert csv.field_size_limit() == 5000
    for row in rows(folder, "NOTEEVENTS", ["TEXT"], ConversionReport()):
        with pytest.raises(csv.Error, match="field larger than field limit"):
            next(csv.reader([row["TEXT"]]))
    assert csv.field_size_limit() == 5000


def test_mimic_tables_first_line_that_never_ends_is_no_header(mimic, monkeypatch):
    monkeypatch.setattr(tables, "_LONGEST_CELL", 1000)
    folder = mimic(NOTEEVENTS=[])
    (folder / "NOTEEVENTS.csv").write_text("secret" * 1000)
    with pytest.raises(BadInput, match=r"NOTEEVENTS.csv has no column TEXT") as error:
        texts(folder)
    assert "secret" not in str(error.value)


def test_mimic_tables_cell_that_never_ends_is_malformed(mimic, monkeypatch, cell_limit):
    monkeypatch.setattr(tables, "_LONGEST_CELL", 1000)
    cell_limit(1000)
    folder = mimic(NOTEEVENTS=[note("11", "secret " * 500)])
    with pytest.raises(BadInput, match=r"NOTEEVENTS.csv:2 cannot be read as CSV") as error:
        texts(folder)
    assert "secret" not in str(error.value)


def test_mimic_tables_row_with_other_cells_is_named_by_file_and_line_and_not_quoted(mimic):
    folder = mimic(DIAGNOSES_ICD=[code("486")])
    with (folder / "DIAGNOSES_ICD.csv").open("a") as file:
        file.write("9,secret\n\n1,1,11,1,4019\n")
    with pytest.raises(BadInput, match=r"DIAGNOSES_ICD.csv:3 does not have the 5 cells") as error:
        codes(folder)
    assert "secret" not in str(error.value)
    lenient = ConversionReport(skip_bad=True)
    assert [found.name for found in codes(folder, conversion=lenient)] == ["486", "401.9"]
    assert sum(lenient.left_out.values()) == 1


def test_mimic_tables_quote_that_never_closes_is_a_malformed_row(mimic):
    folder = mimic(NOTEEVENTS=[note("11", "Kept.")])
    with (folder / "NOTEEVENTS.csv").open("a") as file:
        file.write('"2","1","12","secret\n' * 3)
    with pytest.raises(BadInput, match=r"NOTEEVENTS.csv:3 does not have the 11 cells") as error:
        texts(folder)
    assert "secret" not in str(error.value)
    lenient = ConversionReport(skip_bad=True)
    assert texts(folder, lenient) == ["Kept."]
    assert lenient.left_out.total() == 1


def test_mimic_tables_missing_table_column_or_folder_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"no PROCEDURES_ICD.csv or PROCEDURES_ICD.csv.gz"):
        codes(tmp_path, "procedures")
    (tmp_path / "PROCEDURES_ICD.csv").write_text("ROW_ID,SUBJECT_ID,HADM_ID\n")
    with pytest.raises(BadInput, match=r"PROCEDURES_ICD.csv has no column ICD9_CODE"):
        codes(tmp_path, "procedures")
    (tmp_path / "PROCEDURES_ICD.csv").write_text("")
    with pytest.raises(BadInput, match=r"PROCEDURES_ICD.csv has no column SUBJECT_ID"):
        codes(tmp_path, "procedures")
    with pytest.raises(BadInput, match="is not a folder: give the folder"):
        find_table(tmp_path / "PROCEDURES_ICD.csv", "ADMISSIONS")


@pytest.mark.parametrize("view", ["icd", "medication", "readmission"])
@pytest.mark.parametrize(
    ("name", "damaged"),
    [
        ("NOTEEVENTS.csv.gz", lambda whole: whole[:3000]),
        ("NOTEEVENTS.csv.gz", lambda whole: whole[:2000] + b"\x00" * 500 + whole[2500:]),
        ("NOTEEVENTS.csv.gz", lambda whole: b"not gzip at all"),
        ("NOTEEVENTS.csv", lambda whole: gzip.decompress(whole) + b'"2","1","12","caf\xe9"\n'),
        ("NOTEEVENTS.csv", lambda whole: whole),
        ("NOTEEVENTS.csv", lambda whole: b""),
        ("NOTEEVENTS.csv", lambda whole: b"\x00\x00\x00\n"),
    ],
    ids=["truncated", "overwritten", "not gzip", "latin-1", "gzip by another name", "empty", "NUL"],
)
def test_mimic_tables_damaged_file_is_bad_input_in_every_view(tmp_path, view, name, damaged):
    text = as_csv(
        HEADERS["NOTEEVENTS"].split(), [[0, 1, 11, "", "", "", "Nursing", "", "", "", os.urandom(9000).hex()]]
    )
    (tmp_path / name).write_bytes(damaged(gzip.compress(text.encode())))
    with pytest.raises(BadInput, match=r"cannot be read .*check that it is complete|has no column|has no discharge"):
        list(convert(MIMIC, tmp_path, ConversionReport(skip_bad=True), {"view": view}))


# Codes


@pytest.mark.parametrize(
    ("icd9", "written"),
    [
        ("00845", "008.45"),
        ("4019", "401.9"),
        ("486", "486"),
        ("V5861", "V58.61"),
        ("E8788", "E878.8"),
        ("E878", "E878"),
    ],
)
def test_mimic_tables_dot_of_a_diagnosis(icd9, written):
    assert dotted(icd9, "diagnoses") == written


@pytest.mark.parametrize(("icd9", "written"), [("0066", "00.66"), ("9604", "96.04"), ("331", "33.1"), ("66", "66")])
def test_mimic_tables_dot_of_a_procedure(icd9, written):
    assert dotted(icd9, "procedures") == written


@pytest.mark.parametrize(
    ("icd10", "kind", "written"),
    [
        ("I10", "diagnoses", "I10"),
        ("E1065", "diagnoses", "E10.65"),
        ("V0010XA", "diagnoses", "V00.10XA"),
        ("5A1955Z", "procedures", "5A1955Z"),
    ],
)
def test_mimic_tables_dot_of_icd_10_stands_in_diagnoses_only(icd10, kind, written):
    assert dotted(icd10, kind, "10") == written


@given(st.from_regex(r"[0-9EV][0-9]{2,4}", fullmatch=True), st.sampled_from(["diagnoses", "procedures"]))
def test_mimic_tables_dot_is_all_that_is_added(icd9, kind):
    assert dotted(icd9, kind).replace(".", "") == icd9


@given(st.from_regex(r"[0-9]{3,5}", fullmatch=True), st.from_regex(r"[0-9]{3,4}", fullmatch=True))
def test_mimic_tables_no_diagnosis_is_ever_taken_for_a_procedure(diagnosis, procedure):
    assert dotted(diagnosis, "diagnoses") != dotted(procedure, "procedures")


def test_mimic_tables_one_string_is_two_codes_by_its_table_of_origin(mimic):
    folder = mimic(DIAGNOSES_ICD=[code("3893")], PROCEDURES_ICD=[code("3893")])
    assert [codes(folder, kind)[0].name for kind in ("diagnoses", "procedures")] == ["389.3", "38.93"]


def test_mimic_tables_null_codes_are_left_out_and_counted(mimic):
    conversion = ConversionReport()
    folder = mimic(DIAGNOSES_ICD=[code(""), code("0340")])
    assert [found.name for found in codes(folder, conversion=conversion)] == ["034.0"]
    assert conversion.left_out == {"row of DIAGNOSES_ICD without a code": 1}


def test_mimic_tables_titles_are_the_short_ones_and_the_table_is_optional(mimic, tmp_path):
    assert MimicIII.at(tmp_path).titles("diagnoses", ConversionReport()) == {}
    folder = mimic(D_ICD_DIAGNOSES=[title("4019", "Hypertension  NOS"), title("486", "")])
    assert MimicIII.at(folder).titles("diagnoses", ConversionReport()) == {"401.9": "Hypertension NOS"}


# The open demo


@needs_demo
def test_mimic_tables_demo_keeps_its_leading_zeros():
    diagnosed = [mark.name for mark in codes(DEMO)]
    assert (len(diagnosed), "008.45" in diagnosed) == (1761, True)
    done = [mark.name for mark in codes(DEMO, "procedures")]
    assert (len(done), {"00.66", "03.31"} <= set(done)) == (506, True)
    raw = {row["ICD9_CODE"] for row in rows(DEMO, "PROCEDURES_ICD", ["ICD9_CODE"], ConversionReport())}
    assert {"0066", "0331"} <= raw


@needs_demo
@pytest.mark.parametrize(("table", "count"), [("ADMISSIONS", 129), ("PATIENTS", 100), ("PRESCRIPTIONS", 10398)])
def test_mimic_tables_demo_tables_are_read_whole(table, count):
    assert sum(1 for _ in rows(DEMO, table, ["SUBJECT_ID"], ConversionReport())) == count


@needs_demo
@pytest.mark.parametrize("view", ["icd", "medication", "readmission"])
def test_mimic_tables_demo_has_no_notes_to_read(view):
    with pytest.raises(BadInput, match=r"has no NOTEEVENTS table: get NOTEEVENTS\.csv\.gz"):
        list(convert(MIMIC, DEMO, ConversionReport(), {"view": view}))
