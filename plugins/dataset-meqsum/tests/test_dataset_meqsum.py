"""MeQSum: stray cells, repeated summaries, wrong workbooks."""

import os
from pathlib import Path
from zipfile import ZipFile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mdkif import BadInput, ConversionReport, convert
from mdkif.testing import assert_conforms
from mdkif_dataset_meqsum import mdkif_datasets
from openpyxl import Workbook

OPEN = Path(os.environ.get("MDKIF_TEST_DATA", Path(__file__).parents[4] / "shared" / "data")) / "MeQSum"
[DATASET] = mdkif_datasets()
NAME = "MeQSum_ACL2019_BenAbacha_Demner-Fushman.xlsx"
HEADER = ("File", "CHQ", "Summary")


def workbook(folder, *rows, sheet="QS", header=HEADER):
    """The official workbook with other rows."""
    book = Workbook()
    book.active.title = sheet
    for row in (header, *rows):
        book.active.append(row)
    book.save(folder / NAME)
    return folder


def run(source, conversion=None, **options):
    return list(convert(DATASET, source, conversion or ConversionReport(), options))


def test_meqsum_conforms():
    assert_conforms("mdkif-dataset-meqsum")


def test_meqsum_row_becomes_a_question_to_summarise(tmp_path):
    question = "SUBJECT: cetirizine\nMESSAGE: I need to know who makes it, [NAME]"
    [record] = run(workbook(tmp_path, ("1-1.txt", question, " Who makes cetirizine? ")))
    assert record.id == "meqsum/2"
    assert record.query == "Summarise the question."
    assert record.context == question
    assert record.answer == "Who makes cetirizine?"
    assert record.source == f"{NAME}:2"


def test_meqsum_stray_cells_right_of_the_columns_are_ignored(tmp_path):
    rows = [
        ("a", "Why do I cough?", "Why?", ""),
        ("b", "How long?", "How?", None, " "),
        ("c", "When?", "When?", "x", "y"),
    ]
    records = run(workbook(tmp_path, *rows))
    assert [(record.context, record.answer) for record in records] == [(row[1], row[2]) for row in rows]


def test_meqsum_equal_summaries_are_one_group_and_never_straddle_splits(tmp_path):
    summaries = ["What causes flu?", "what causes  flu ?", "What cures flu?"]
    records = run(workbook(tmp_path, *((str(n), f"question {n}", text) for n, text in enumerate(summaries))))
    assert [record.group for record in records] == ["what causes flu", "what causes flu", "what cures flu"]
    assert records[0].split == records[1].split


def test_meqsum_numbers_are_text_and_empty_rows_are_skipped(tmp_path):
    records = run(workbook(tmp_path, ("a", 12, 34), (None, None, None), ("b", "x", "y")))
    assert [(record.id, record.context, record.answer) for record in records] == [
        ("meqsum/2", "12", "34"),
        ("meqsum/4", "x", "y"),
    ]


def test_meqsum_workbook_itself_is_a_source(tmp_path):
    workbook(tmp_path, ("a", "x", "y"))
    assert run(tmp_path / NAME) == run(tmp_path)


words = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=60).filter(str.strip)


@settings(max_examples=25)
@given(st.lists(st.tuples(words, words), min_size=1, max_size=5))
def test_meqsum_any_text_survives(tmp_path_factory, pairs):
    pairs = [("".join(["q ", question]), "".join(["s ", summary])) for question, summary in pairs]  # never a formula
    folder = workbook(tmp_path_factory.mktemp("meqsum"), *(("f", *pair) for pair in pairs))
    assert [(r.context, r.answer) for r in run(folder)] == [(q.strip(), s.strip()) for q, s in pairs]


@pytest.mark.parametrize("row", [("a", "SECRET", None), ("a", None, "SECRET"), ("a", "SECRET", "  "), ("SECRET",)])
def test_meqsum_row_without_question_or_summary_is_named_or_skipped(tmp_path, row):
    workbook(tmp_path, ("a", "x", "y"), row)
    with pytest.raises(BadInput, match=r"\.xlsx:3 has no question or no summary") as caught:
        run(tmp_path)
    assert "SECRET" not in str(caught.value)
    conversion = ConversionReport(skip_bad=True)
    assert len(run(tmp_path, conversion)) == 1
    assert sum(conversion.left_out.values()) == 1


def test_meqsum_other_workbooks_are_refused(tmp_path):
    with pytest.raises(BadInput, match="no sheet 'QS'"):
        run(workbook(tmp_path, ("a", "x", "y"), sheet="Sheet1"))
    with pytest.raises(BadInput, match="does not begin with the columns File, CHQ, Summary"):
        run(workbook(tmp_path, ("a", "x", "y"), header=("id", "question", "summary")))


def test_meqsum_files_that_are_no_workbook_are_refused(tmp_path):
    workbook(tmp_path, ("a", "x", "y"))
    whole = (tmp_path / NAME).read_bytes()
    (tmp_path / NAME).write_bytes(whole[: len(whole) // 2])
    (tmp_path / "notes.txt").write_text("text")
    for name in (NAME, "notes.txt"):
        with pytest.raises(BadInput, match="is not a workbook"):
            run(tmp_path / name)


@pytest.mark.parametrize("part", ["docProps/core.xml", "xl/styles.xml", "xl/workbook.xml", "xl/worksheets/sheet1.xml"])
@pytest.mark.parametrize("damage", [lambda text: text[:-9], lambda text: b"", lambda text: text.replace(b"r", b"&")])
def test_meqsum_workbook_of_which_one_part_is_damaged_is_refused(tmp_path, part, damage):
    with ZipFile(workbook(tmp_path, ("a", "SECRET", "y")) / NAME) as whole, ZipFile(tmp_path / "bad.xlsx", "w") as bad:
        for name in whole.namelist():
            bad.writestr(name, damage(whole.read(name)) if name == part else whole.read(name))
    with pytest.raises(BadInput, match="is not a workbook") as caught:
        run(tmp_path / "bad.xlsx")
    assert "SECRET" not in str(caught.value)


def test_meqsum_absent_sources_and_options_are_refused(tmp_path):
    with pytest.raises(BadInput, match=r"no MeQSum\*\.xlsx"):
        run(tmp_path)
    with pytest.raises(BadInput, match="does not exist"):
        run(tmp_path / "nowhere")
    with pytest.raises(BadInput, match="its options are none"):
        run(workbook(tmp_path), split="train")


@pytest.mark.skipif(not OPEN.is_dir(), reason=f"MeQSum is not at {OPEN}; set MDKIF_TEST_DATA to its parent folder")
def test_meqsum_official_counts():
    conversion = ConversionReport()
    records = run(OPEN, conversion)
    assert (len(records), conversion.left_out) == (1_000, {})
    assert len({record.id for record in records}) == 1_000
    assert sum(record.context.startswith("SUBJECT:") for record in records) == 653
    assert len({record.answer for record in records}) == 994  # six summaries occur twice
