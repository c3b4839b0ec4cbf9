"""MedQA: regions and renditions, letters that differ between them, and Chinese text."""

import json

import mdkif_dataset_medqa as plugin
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mdkif import BadInput, ConversionReport, convert
from mdkif.testing import assert_conforms

DATASET = plugin.mdkif_datasets()[0]
FIVE = {"A": "Ampicillin", "B": "Ceftriaxone", "C": "Doxycycline", "D": "Nitrofurantoin", "E": "Placebo"}
FOUR = {"A": "Ampicillin", "B": "Ceftriaxone", "C": "Nitrofurantoin", "D": "Placebo"}


def row(options=FIVE, answer="Nitrofurantoin", **changes):
    """One question in the layout of the official files."""
    letter = next((letter for letter, text in options.items() if text == answer), "A")
    values = {"question": "A woman has dysuria. What helps?", "answer": answer, "options": options}
    return {**values, "meta_info": "step1", "answer_idx": letter, **changes}


def write(root, name, *rows):
    path = root / "questions" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def data_clean(tmp_path):
    """The unpacked archive with one question a file."""
    for split in ("train", "dev", "test"):
        write(tmp_path, f"US/{split}.jsonl", row())
        write(tmp_path, f"US/4_options/phrases_no_exclude_{split}.jsonl", row(FOUR, metamap_phrases=["woman"]))
        chinese = {"A": "青霉素", "B": "头孢曲松", "C": "安慰剂", "D": "多西环素"}
        write(tmp_path, f"Mainland/{split}.jsonl", row({**chinese, "E": "水"}, "青霉素"))
        write(tmp_path, f"Mainland/4_options/{split}.jsonl", row(chinese, "青霉素"))
        write(tmp_path, f"Taiwan/{split}.jsonl", row({"A": "甲", "B": "乙", "C": "丙", "D": "丁"}, "乙"))
    write(tmp_path, "US/US_qbank.jsonl", row(), row())
    write(tmp_path, "US/metamap/phrases_train.jsonl", row(), row())
    return tmp_path


def run(source, conversion=None, **options):
    return list(convert(DATASET, source, conversion or ConversionReport(), options))


def test_medqa_conforms():
    assert_conforms("mdkif-dataset-medqa")


def test_medqa_us_five_options_with_official_splits_by_default(data_clean):
    records = run(data_clean)
    assert [record.split for record in records] == ["train", "dev", "test"]
    record = records[0]
    assert record.id == "medqa/US/5/train/1"
    assert record.context == "A woman has dysuria. What helps?"
    assert record.query == (
        "Which answer is right? Choose from: Ampicillin; Ceftriaxone; Doxycycline; Nitrofurantoin; Placebo."
    )
    assert record.options == tuple(FIVE.values())
    assert record.source == "train.jsonl:1"


def test_medqa_answers_are_texts_so_both_renditions_agree_though_letters_differ(data_clean):
    five, four = run(data_clean)[0], run(data_clean, options="4")[0]
    assert len(four.options) == 4
    assert row()["answer_idx"] != row(FOUR)["answer_idx"]
    assert five.answer == four.answer == "Nitrofurantoin"
    assert [record.query[slice(*record.spans[0])] for record in (five, four)] == ["Nitrofurantoin"] * 2


@pytest.mark.parametrize(
    ("region", "options", "count", "answer"),
    [
        ("Mainland", "5", 5, "青霉素"),
        ("Mainland", "4", 4, "青霉素"),
        ("Taiwan", "5", 4, "乙"),
        ("US", 4, 4, "Nitrofurantoin"),
    ],
)
def test_medqa_other_regions_and_renditions(data_clean, region, options, count, answer):
    records = run(data_clean, region=region, options=options)
    assert [record.split for record in records] == ["train", "dev", "test"]
    assert {record.answer for record in records} == {answer}
    assert {len(record.options) for record in records} == {count}


def test_medqa_all_places_of_the_archive_are_the_same_source(data_clean, tmp_path_factory):
    above = tmp_path_factory.mktemp("above")
    (above / "data_clean").symlink_to(data_clean)
    assert run(data_clean) == run(above) == run(data_clean / "questions")


def test_medqa_single_file_knows_its_split_from_its_name(data_clean):
    path = data_clean / "questions/US/4_options/phrases_no_exclude_dev.jsonl"
    assert [(record.split, len(record.options)) for record in run(path, options="4")] == [("dev", 4)]
    with pytest.raises(BadInput, match="keep the official name"):
        run(data_clean / "questions/US/US_qbank.jsonl")


def test_medqa_options_keep_their_letters_order_and_repeat_only_once(data_clean):
    shuffled = {"C": "third", "A": "first", "B": "second", "D": "first"}
    write(data_clean, "US/train.jsonl", row(shuffled, "second"))
    assert run(data_clean)[0].options == ("first", "second", "third")


def test_medqa_question_that_lost_its_case_is_left_out(data_clean):
    write(data_clean, "US/train.jsonl", row(question=plugin.WITHOUT_CASE), row())
    conversion = ConversionReport()
    assert run(data_clean, conversion)[0].id == "medqa/US/5/train/2"
    assert conversion.left_out == {"question without its case": 1}


@given(st.lists(st.text(min_size=1).filter(str.strip), min_size=2, max_size=5, unique_by=str.strip), st.data())
def test_medqa_span_is_always_the_answer(tmp_path_factory, texts, data):
    answer = data.draw(st.sampled_from(texts))
    root = tmp_path_factory.mktemp("medqa")
    write(root, "US/test.jsonl", row(dict(zip("ABCDE", texts, strict=False)), answer))
    [record] = run(root)
    assert record.query[slice(*record.spans[0])] == record.answer == answer.strip()
    assert record.options == tuple(text.strip() for text in texts)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "is not a question"),
        ("[]", "is not a question"),
        ("[" * 50_000, "is not a question"),
        ({"question": "SECRET", "options": ["a"], "answer": "a"}, "is not a question"),
        ({"question": "SECRET", "options": {"A": None}, "answer": "a"}, "is not a question"),
        ({"question": " ", "options": FOUR, "answer": "Placebo"}, "is not a question"),
        (row(answer="SECRET"), "has an answer that is none of its options"),
    ],
)
def test_medqa_malformed_row_is_named_by_line_or_skipped(data_clean, line, reason):
    write(data_clean, "US/dev.jsonl", row(), "", line)
    with pytest.raises(BadInput, match=rf"dev\.jsonl:3 {reason}") as caught:
        run(data_clean)
    assert "SECRET" not in str(caught.value)
    conversion = ConversionReport(skip_bad=True)
    assert len(run(data_clean, conversion)) == 3
    assert sum(conversion.left_out.values()) == 1


def test_medqa_absent_files_and_wrong_options_are_named(data_clean, tmp_path_factory):
    with pytest.raises(BadInput, match=r"no questions/US/4_options/phrases_no_exclude_test\.jsonl"):
        run(tmp_path_factory.mktemp("empty"), options="4")
    with pytest.raises(BadInput, match="does not exist"):
        run(data_clean / "nowhere")
    for options in ({"region": "Taiwan", "options": "4"}, {"options": "3"}, {"region": "UK"}):
        with pytest.raises(BadInput, match="region Taiwan with 5"):
            run(data_clean, **options)
