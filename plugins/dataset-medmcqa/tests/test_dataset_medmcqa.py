"""MedMCQA: answers counted from 1, one answer even for "multi" rows, explanations that stay out, splits by file."""

import json
import os
import re
from collections import Counter
from pathlib import Path

import mdkif_dataset_medmcqa as plugin
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mdkif import BadInput, ConversionReport, convert, hashed_split
from mdkif.testing import assert_conforms

OPEN = Path(os.environ.get("MDKIF_TEST_DATA", Path(__file__).parents[4] / "shared" / "data")) / "MedMCQA"
[DATASET] = plugin.mdkif_datasets()
TEXTS = ("Aspirin", "Heparin", "Warfarin", "Placebo")


def row(key="1", texts=TEXTS, **changes):
    """One question in the official layout; a value of ... removes its key."""
    values = {
        "question": "Which inhibits platelets?",
        "exp": "Ans. A. LEAK",
        "cop": 1,
        **dict(zip(("opa", "opb", "opc", "opd"), texts, strict=True)),
        "subject_name": "Pharmacology",
        "topic_name": None,
        "id": key,
        "choice_type": "single",
    }
    return {name: value for name, value in {**values, **changes}.items() if value is not ...}


def write(folder, split, *rows):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{split}.json"
    lines = [line if isinstance(line, str) else json.dumps(line) for line in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def run(source, conversion=None, **options):
    return list(convert(DATASET, source, conversion or ConversionReport(), options))


def test_medmcqa_conforms():
    assert_conforms("mdkif-dataset-medmcqa")


def test_medmcqa_question_becomes_a_choice_among_its_answers(tmp_path):
    [record] = run(write(tmp_path, "train", row("9a-7")))
    assert record.id == "medmcqa/9a-7"
    assert record.query == "Which answer is right? Choose from: Aspirin; Heparin; Warfarin; Placebo."
    assert record.context == "Which inhibits platelets?"
    assert (record.options, record.labels, record.answer) == (TEXTS, ("Aspirin",), "Aspirin")
    assert record.query[slice(*record.spans[0])] == "Aspirin"
    assert (record.split, record.source) == ("train", "train.json:1")


@pytest.mark.parametrize("kind", ["single", "multi"])
@pytest.mark.parametrize("cop", [1, 2, 3, 4])
def test_medmcqa_right_answer_is_one_and_counts_from_1(tmp_path, cop, kind):
    [record] = run(write(tmp_path, "dev", row(cop=cop, choice_type=kind)))
    assert record.labels == (TEXTS[cop - 1],)


def test_medmcqa_explanation_stays_out(tmp_path):
    assert "LEAK" not in json.dumps([record.to_dict() for record in run(write(tmp_path, "dev", row()))])


@pytest.mark.parametrize("place", ["", "data", "data/dev.json"])
def test_medmcqa_folder_its_data_folder_and_a_file_are_sources(tmp_path, place):
    write(tmp_path / "data", "dev", row("2"))
    if "." not in place:
        write(tmp_path / "data", "train", row("1"))
        write(tmp_path / "data", "test", row("3", cop=..., exp=...))
    expected = {"medmcqa/1": "train", "medmcqa/2": "dev"} if "." not in place else {"medmcqa/2": "dev"}
    conversion = ConversionReport()
    assert {record.id: record.split for record in run(tmp_path / place, conversion)} == expected
    assert conversion.left_out == ({"answer not published": 1} if "." not in place else {})


def test_medmcqa_file_at_hand_alone_can_be_divided_by_the_split_policy(tmp_path):
    rows = [row(str(number), question=f"Question {number}?") for number in range(60)]
    write(tmp_path, "dev", *rows)
    assert Counter(record.split for record in run(tmp_path)) == {"dev": 60}
    divided = run(tmp_path, splits="none")
    assert {record.split for record in divided} == {"train", "dev", "test"}
    assert all(record.split == hashed_split(record.group) for record in divided)


def test_medmcqa_same_question_is_one_group_whatever_its_punctuation(tmp_path):
    questions = ["Skeletal muscles", "Skeletal  muscles:-", "Smooth muscles"]
    records = run(write(tmp_path, "dev", *(row(str(n), question=text) for n, text in enumerate(questions))))
    assert [record.group for record in records] == ["skeletal muscles", "skeletal muscles", "smooth muscles"]


def test_medmcqa_answers_that_recur_are_listed_once(tmp_path):
    [record] = run(write(tmp_path, "dev", row(texts=("A  and B", "C", "A and B ", "D"), cop=3)))
    assert (record.options, record.answer) == (("A and B", "C", "D"), "A and B")
    conversion = ConversionReport()
    assert run(write(tmp_path, "dev", row(texts=("A", "A", "A ", "A"))), conversion) == []
    assert conversion.left_out == {"the same answer four times": 1}


def test_medmcqa_duplicate_id_is_left_out_even_in_another_file(tmp_path):
    write(tmp_path, "train", row("1"), row("1", question="Which else?"))
    write(tmp_path, "dev", row("1"), row("2"))
    conversion = ConversionReport()
    assert [record.id for record in run(tmp_path, conversion)] == ["medmcqa/1", "medmcqa/2"]
    assert conversion.left_out == {"duplicate id": 2}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "is not a question"),
        ("[1]", "is not a question"),
        ("null", "is not a question"),
        ("[" * 100_000, "is not a question"),
        ("\0\0", "is not a question"),
        ('"' + "SECRET" * 200_000, "is not a question"),
        (row(id=...), "is not a question"),
        (row(opd=...), "is not a question"),
        (row(opd=" "), "is not a question"),
        (row(opa=None, exp="SECRET"), "is not a question"),
        (row(question=" "), "is not a question"),
        (row(question=["SECRET"]), "is not a question"),
        (row(cop=0), "has a cop that is none of 1 to 4"),  # copies elsewhere count from 0
        (row(cop=5), "has a cop that is none of 1 to 4"),
        (row(cop="SECRET"), "has a cop that is none of 1 to 4"),
        (row(cop=[1]), "has a cop that is none of 1 to 4"),
        (row(cop=True), "has a cop that is none of 1 to 4"),
        (row(cop=1.0), "has a cop that is none of 1 to 4"),
    ],
)
def test_medmcqa_malformed_row_is_named_by_line_or_skipped(tmp_path, line, reason):
    write(tmp_path, "dev", row("1"), "", line, row("2"))
    with pytest.raises(BadInput, match=rf"dev\.json:3 {reason}") as caught:
        run(tmp_path)
    assert "SECRET" not in str(caught.value)
    conversion = ConversionReport(skip_bad=True)
    assert len(run(tmp_path, conversion)) == 2
    assert sum(conversion.left_out.values()) == 1


def test_medmcqa_byte_order_marks_and_line_ends_are_no_errors_but_other_encodings_are(tmp_path):
    path = write(tmp_path, "dev", row("1"), row("2"))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert len(run(path)) == 2
    path.write_bytes(json.dumps(row(question="Ménière?"), ensure_ascii=False).encode("latin-1"))
    with pytest.raises(BadInput, match="bytes that are not UTF-8"):
        run(path)
    path.write_bytes(b"")
    assert run(path) == []


def test_medmcqa_missing_files_and_unknown_options_are_named(tmp_path):
    for source in (tmp_path, write(tmp_path / "x", "validation", row())):
        with pytest.raises(BadInput, match=r"none of train\.json, dev\.json and test\.json"):
            run(source)
    with pytest.raises(BadInput, match="does not exist"):
        run(tmp_path / "nowhere")
    with pytest.raises(BadInput, match="choose one of official, none"):
        run(write(tmp_path, "dev", row()), splits="random")


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text(min_size=1).filter(str.strip), min_size=4, max_size=4), st.integers(1, 4))
def test_medmcqa_span_is_always_the_right_answer(tmp_path_factory, texts, cop):
    conversion = ConversionReport()
    records = run(write(tmp_path_factory.mktemp("medmcqa"), "dev", row(texts=texts, cop=cop)), conversion)
    assert len(records) + conversion.left_out["the same answer four times"] == 1
    for record in records:
        assert record.query[slice(*record.spans[0])] == record.answer == " ".join(texts[cop - 1].split())


needs_open_data = pytest.mark.skipif(
    not OPEN.is_dir(), reason=f"MedMCQA is not at {OPEN}; set MDKIF_TEST_DATA to its parent folder"
)


@needs_open_data
def test_medmcqa_official_counts():
    conversion = ConversionReport()
    records = run(OPEN, conversion)
    assert len(records) + conversion.left_out["the same answer four times"] == 4183
    assert conversion.left_out == {"the same answer four times": 1}
    assert Counter(record.split for record in records) == {"dev": 4182}
    assert len({record.group for record in records}) < 4170
    assert Counter(len(record.options) for record in records) == {4: 4162, 3: 20}


@needs_open_data
def test_medmcqa_explanations_confirm_that_answers_count_from_1_in_multi_rows_too():
    agree: Counter[tuple[str, bool]] = Counter()
    with (OPEN / "dev.json").open(encoding="utf-8") as lines:
        for line in lines:
            values = json.loads(line)
            if stated := re.match(r"Ans(?:wer)?[\s.:-]*(?:is\s)?['(]?([A-Da-d])\b", values["exp"] or ""):
                agree[values["choice_type"], "abcd".index(stated[1].lower()) + 1 == values["cop"]] += 1
    for kind in ("single", "multi"):
        assert agree[kind, True] > 300
        assert agree[kind, True] > 40 * agree[kind, False]
