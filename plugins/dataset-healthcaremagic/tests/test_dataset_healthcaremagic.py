"""HealthCareMagic and ChatDoctor: one layout for two data sets, read piece by piece."""

import json
import os
import tracemalloc
from collections import Counter
from pathlib import Path

import mdkif_dataset_healthcaremagic as healthcaremagic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mdkif import BadInput, ConversionReport, convert
from mdkif.testing import assert_conforms

OPEN = Path(os.environ.get("MDKIF_TEST_DATA", Path(__file__).parents[4] / "shared" / "data")) / "ChatDoctor"
HEALTHCAREMAGIC, CHATDOCTOR = healthcaremagic.mdkif_datasets()
INSTRUCTION = "If you are a doctor, please answer the medical questions based on the patient's description."


def row(question="I cough.", reply="Hello, drink tea. Regards, Chat Doctor", **changes):
    return {"instruction": INSTRUCTION, "input": question, "output": reply, **changes}


def write(folder, rows, name="HealthCareMagic-100k.json", **layout):
    path = folder / name
    path.write_text(rows if isinstance(rows, str) else json.dumps(rows, **layout), encoding="utf-8")
    return path


def run(source, conversion=None, dataset=HEALTHCAREMAGIC, **options):
    return list(convert(dataset, source, conversion or ConversionReport(), options))


def test_healthcaremagic_conforms():
    assert_conforms("mdkif-dataset-healthcaremagic")


def test_healthcaremagic_row_becomes_the_papers_example(tmp_path):
    [record] = run(write(tmp_path, [row(" I have weight issues.\nMy asthma changed. ", "See a doctor. ")]))
    assert record.id == "HealthCareMagic-100k/1"
    assert record.query == INSTRUCTION
    assert record.context == "I have weight issues.\nMy asthma changed."
    assert record.answer == "See a doctor."
    assert record.source == "HealthCareMagic-100k.json:row 1"
    assert (record.options, record.labels) == ((), ())


def test_healthcaremagic_both_data_sets_read_the_layout_and_their_ids_never_clash(tmp_path):
    ids = {
        record.id
        for dataset, name in ((HEALTHCAREMAGIC, "HealthCareMagic-100k.json"), (CHATDOCTOR, "chatdoctor5k.json"))
        for record in run(write(tmp_path, [row(), row()], name), dataset=dataset)
    }
    assert len(ids) == 4


def test_healthcaremagic_question_that_recurs_is_one_group(tmp_path):
    records = run(write(tmp_path, [row("I cough!"), row("i  cough", "Tea."), row("I sneeze.")]))
    assert [record.group for record in records] == ["i cough", "i cough", "i sneeze"]
    assert records[0].split == records[1].split


@pytest.mark.parametrize(("empty", "reason"), [("output", "empty answer"), ("input", "empty input")])
def test_healthcaremagic_rows_without_text_are_left_out(tmp_path, empty, reason):
    conversion = ConversionReport()
    records = run(write(tmp_path, [row(), row(**{empty: " \n"})]), conversion)
    assert [record.id for record in records] == ["HealthCareMagic-100k/1"]
    assert conversion.left_out == {reason: 1}


@pytest.mark.parametrize(
    "bad",
    [
        {"input": "SECRET", "answer_icliniq": "SECRET"},  # the sister file iCliniq has other keys
        row(input=None),
        row(output=["SECRET"]),
        row(instruction=""),
        row(instruction=7),
        {},
    ],
)
def test_healthcaremagic_malformed_row_is_named_by_number_or_skipped(tmp_path, bad):
    path = write(tmp_path, [row(), bad, row()])
    with pytest.raises(BadInput, match=r"100k\.json:row 2 has no instruction, input and output") as caught:
        run(path)
    assert "SECRET" not in str(caught.value)
    conversion = ConversionReport(skip_bad=True)
    assert [record.id[-1] for record in run(path, conversion)] == ["1", "3"]
    assert sum(conversion.left_out.values()) == 1


@settings(deadline=None, max_examples=60)
@given(
    texts=st.lists(st.text(min_size=1, max_size=30).filter(str.strip), max_size=8),
    chunk=st.integers(1, 200),
    indent=st.sampled_from([None, 0, 6]),
)
def test_healthcaremagic_rows_are_read_whole_wherever_the_pieces_break(tmp_path_factory, texts, chunk, indent):
    path = write(
        tmp_path_factory.mktemp("mc"), [row(text) for text in texts], indent=indent, ensure_ascii=indent is None
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(healthcaremagic, "CHUNK", chunk)
        assert [record.context for record in run(path)] == [text.strip() for text in texts]


def test_healthcaremagic_large_file_is_never_whole_in_memory(tmp_path):
    path = write(tmp_path, [row("x" * 1000)] * 3000)
    tracemalloc.start()
    try:
        count = sum(1 for _ in convert(HEALTHCAREMAGIC, path, ConversionReport()))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 3000
    assert path.stat().st_size > 3_000_000 > 3 * peak


def test_healthcaremagic_long_row_is_read_and_one_without_end_is_not(tmp_path):
    assert len(run(write(tmp_path, [row("x" * 500_000)]))) == 1
    with pytest.raises(BadInput, match="is cut short or is not a JSON array"):
        run(write(tmp_path, '[{"input": "' + "x" * 3_000_000))


@pytest.mark.parametrize("end", [1, 40, -1, -40])
def test_healthcaremagic_file_cut_short_is_refused(tmp_path, end):
    whole = json.dumps([row(), row()])
    with pytest.raises(BadInput, match=r"100k\.json is cut short"):
        run(write(tmp_path, whole[:end]))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "\0\0",
        "{}",
        json.dumps(row()),
        "[1, 2]",
        "[null]",
        '[{"a": ' + "[" * 100_000,
        "[[]]",
        json.dumps([row()]) + "x",
    ],
)
def test_healthcaremagic_other_files_are_refused(tmp_path, content):
    with pytest.raises(BadInput, match="is not a JSON array of objects"):
        run(write(tmp_path, content))


def test_healthcaremagic_byte_order_marks_and_line_ends_are_no_errors_but_other_encodings_are(tmp_path):
    path = write(tmp_path, [row("Ménière?")], indent=2, ensure_ascii=False)
    text = path.read_text(encoding="utf-8")
    path.write_bytes(text.replace("\n", "\r\n").encode("utf-8-sig"))
    assert [record.context for record in run(path)] == ["Ménière?"]
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(BadInput, match="cannot be read"):
        run(path)
    assert run(write(tmp_path, [])) == []


def test_healthcaremagic_folder_with_other_files_is_ambiguous(tmp_path):
    with pytest.raises(BadInput, match=r"There are 0 \.json files"):
        run(tmp_path)
    write(tmp_path, [row()])
    assert len(run(tmp_path)) == 1
    write(tmp_path, [row("Write a poem.")], "alpaca_data.json")
    with pytest.raises(BadInput, match=r"There are 2 \.json files in .*give the one with the dialogues"):
        run(tmp_path)
    with pytest.raises(BadInput, match="does not exist"):
        run(tmp_path / "nowhere")


@pytest.mark.skipif(not OPEN.is_dir(), reason=f"ChatDoctor is not at {OPEN}; set MDKIF_TEST_DATA to its parent folder")
def test_healthcaremagic_official_counts():
    records = run(OPEN / "chatdoctor5k.json", dataset=CHATDOCTOR)
    assert len(records) == len({record.id for record in records}) == 5452
    assert Counter(record.query for record in records) == {INSTRUCTION: 5452}
    assert len({record.context for record in records}) == 5446
    assert records == run(OPEN, dataset=CHATDOCTOR)
