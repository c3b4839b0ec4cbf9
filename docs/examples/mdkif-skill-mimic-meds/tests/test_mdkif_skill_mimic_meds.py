"""The conformance kit of mdkif, and what only this plugin knows."""

import gzip
from pathlib import Path

import mdkif_skill_mimic_meds
import pytest
from mdkif import BadInput, ConversionReport, convert
from mdkif.testing import assert_conforms

SAMPLE = Path(mdkif_skill_mimic_meds.__file__).parent / "sample" / "mimic-meds"
[DATASET] = mdkif_skill_mimic_meds.mdkif_datasets()


@pytest.fixture
def tables(tmp_path):
    """A copy of the sample that a test may damage."""
    for path in SAMPLE.iterdir():
        (tmp_path / path.name).write_text(path.read_text())
    return tmp_path


def read(folder, told=None, **options):
    return list(convert(DATASET, folder, told or ConversionReport(), options))


def test_it_keeps_what_a_host_relies_on():
    assert_conforms("mdkif-skill-mimic-meds")


def test_an_admission_is_a_record_of_its_patient():
    told = ConversionReport()
    first, second, third = read(SAMPLE, told)
    assert first.id == "mimic-meds/991001"
    assert first.context == "Atrial fibrillation; Unspecified essential hypertension"
    assert first.group == second.group == "990001"
    assert third.source == "DIAGNOSES_ICD:5"
    assert told.left_out == {
        "diagnosis without a title": 1,
        "prescription of a base, an additive or nothing": 1,
        "admission without drugs": 1,
    }


@pytest.mark.parametrize(
    ("most", "answer"), [("1", "digoxin"), ("2", "digoxin; metoprolol"), (12, "digoxin; metoprolol; warfarin")]
)
def test_the_answer_lists_the_drugs_begun_first(most, answer):
    assert read(SAMPLE, most=most)[0].answer == answer


def test_tables_may_be_gzipped_and_headers_in_lower_case(tables):
    for path in list(tables.iterdir()):
        header, _, body = path.read_text().partition("\n")
        with gzip.open(tables / f"{path.name}.gz", "wt") as packed:
            packed.write(f"{header.lower()}\n{body}")
        path.unlink()
    assert read(tables) == read(SAMPLE)


def test_a_row_that_cannot_be_read_is_told_with_its_line_and_never_quoted(tables):
    with (tables / "PRESCRIPTIONS.csv").open("a") as table:
        table.write("8,990002,private\n")
    with pytest.raises(BadInput, match=r"PRESCRIPTIONS\.csv:9 does not have the 6 cells") as raised:
        read(tables)
    assert "private" not in str(raised.value)
    told = ConversionReport(skip_bad=True)
    assert read(tables, told) == read(SAMPLE)
    assert told.left_out["malformed: does not have the 6 cells of the header"] == 1


def test_a_folder_without_a_table_or_a_column_says_what_is_missing(tables):
    (tables / "DIAGNOSES_ICD.csv").write_text("ROW_ID,SUBJECT_ID,ICD9_CODE\n")
    with pytest.raises(BadInput, match=r"no column HADM_ID: get the file"):
        read(tables)
    (tables / "DIAGNOSES_ICD.csv").unlink()
    with pytest.raises(BadInput, match=r"no DIAGNOSES_ICD\.csv\.gz in"):
        read(tables)


@pytest.mark.parametrize("most", ["none", "0", -1])
def test_a_wrong_option_is_refused(most):
    with pytest.raises(BadInput, match=r"The option 'most' is"):
        read(SAMPLE, most=most)
