"""Records of one's own: a table of questions and answers is enough for every verb, and no plugin is needed."""

import csv
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mdkif import BadInput, ConversionReport, Record, Task, write_records
from mdkif.cli import main
from mdkif.core.console.app import run
from mdkif.core.data.own import DATASET, OPTIONAL, convert_own, own_records, own_spec

ROWS = [
    {"question": "Is it safe?", "options": "yes|no", "answer": ("yes", "no")[i % 2], "context": f"Trial {i}, arm b.",
     "id": f"t{i}", "group": f"g{i // 2}"}
    for i in range(40)
]  # fmt: skip
LENGTH = ["--max-length", "256", "--base", "tiny"]


def table(path, rows=ROWS, columns=("question", "options", "answer", "context", "id", "group")):
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def records(path, **options):
    return list(convert_own(path, ConversionReport(**options)))


def test_csv_and_json_lines_of_the_same_rows_are_the_same_records(tmp_path):
    lines = tmp_path / "mine.jsonl"
    lines.write_text("".join(json.dumps({**row, "options": ["yes", "no"]}) + "\n" for row in ROWS))
    from_csv, from_lines = records(table(tmp_path / "mine.csv")), records(lines)
    places = [record.source for record in from_csv]
    assert [record.to_dict() | {"source": ""} for record in from_csv] == [
        record.to_dict() | {"source": ""} for record in from_lines
    ]
    assert (places[0], from_lines[0].source) == ("mine.csv:2", "mine.jsonl:1")
    first = from_csv[0]
    assert first.query == "Is it safe? Choose from: yes; no."
    assert (first.options, first.labels, first.context, first.group) == (
        ("yes", "no"),
        ("yes",),
        "Trial 0, arm b.",
        "g0",
    )


def test_converted_records_are_read_as_they_were_written(tmp_path):
    made = [Record(id=str(i), query="Why?", answer="So.", context="c", source=f"x:{i}") for i in range(3)]
    for name in ("mine.jsonl", "mine.parquet"):
        write_records(made, tmp_path / name)
        assert records(tmp_path / name) == made


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])).map(str.strip).filter(bool), st.integers(0, 2))
def test_own_records_give_back_any_question_and_context_of_a_csv(tmp_path_factory, text, gold):
    options = ["yes", "no", "perhaps"]
    row = {"question": text, "options": "|".join(options), "answer": options[gold], "context": text}
    [record] = records(table(tmp_path_factory.mktemp("own") / "mine.csv", [row]))
    assert record.query.startswith(f"{text} Choose from: yes;")
    assert (record.context, record.labels) == (text, (options[gold],))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"question": "Is it?", "answer": ""}, "lacks the field answer"),
        ({"question": " ", "answer": ""}, "lacks the field question and answer"),
        ({"question": "Is it?", "options": "yes;no", "answer": "maybe"}, "an answer that is not among its options"),
        ({"question": "Is it?", "answer": "So.", "split": "training"}, "a split that is none of train, dev, adapt"),
    ],
)
def test_rows_that_lack_something_are_told_by_file_line_and_field_and_not_quoted(tmp_path, row, reason):
    path = table(tmp_path / "mine.csv", [ROWS[0], row], ("question", "answer", *OPTIONAL))
    with pytest.raises(BadInput, match=rf"mine\.csv:3 .*{reason}") as caught:
        records(path)
    assert "Is it?" not in str(caught.value)
    report = ConversionReport(skip_bad=True)
    assert len(list(convert_own(path, report))) == 1
    assert report.malformed_rows == 1


def test_files_that_are_no_records_are_refused(tmp_path):
    with pytest.raises(BadInput, match=r"mine\.csv:1 has no column 'question': name the columns question, answer"):
        records(table(tmp_path / "mine.csv", [], ("text", "label")))
    (tmp_path / "mine.txt").write_text("Is it?\n")
    with pytest.raises(BadInput, match=r"is no file of records: give one that ends in \.csv, \.tsv, \.jsonl"):
        records(tmp_path / "mine.txt")
    (tmp_path / "mine.jsonl").write_text('{"question": "a", "answer": "b"}\n[1]\n')
    with pytest.raises(BadInput, match=r"mine\.jsonl:2 is no JSON object"):
        records(tmp_path / "mine.jsonl")


def test_work_follows_from_the_records(plugins, tmp_path):
    closed = own_spec(Task, plugins, "mine", table(tmp_path / "a.csv"))
    assert (closed.category, closed.evaluator, closed.multi_label) == ("text-classification", "classification", False)
    several = [{**row, "answer": "yes|no"} for row in ROWS[:2]]
    assert own_spec(Task, plugins, "mine", table(tmp_path / "b.csv", several)).multi_label
    free = [{"question": "Why?", "answer": "Because."}]
    assert own_spec(Task, plugins, "mine", table(tmp_path / "c.csv", free)).evaluator == "generation"
    with pytest.raises(BadInput, match="There is no record in"):
        own_spec(Task, plugins, "mine", table(tmp_path / "d.csv", []))


def test_groups_of_own_records_straddle_no_splits(plugins, tmp_path):
    from mdkif import convert

    found = list(convert(DATASET, table(tmp_path / "mine.csv"), ConversionReport()))
    splits = {}
    for record in found:
        splits.setdefault(record.group, set()).add(record.split)
    assert len(found) == 40
    assert all(len(each) == 1 for each in splits.values())
    assert len({split for each in splits.values() for split in each}) == 3


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MDKIF_STORE", str(tmp_path / "store"))
    table(tmp_path / "mine.csv")
    return tmp_path / "store"


def mdkif(capsys, *words, code=0):
    found = run(main, list(words))
    out, err = capsys.readouterr()
    assert found == code, err
    return out, err


def test_own_records_are_taken_by_every_verb_without_a_plugin(store, capsys, tmp_path):
    short = ["--trainer", "lora", "--set", "steps=2", "--set", "batch_size=2"]
    mdkif(capsys, "train", "--records", "mine.csv", "--name", "my-skill", *short, *LENGTH)
    mdkif(capsys, "adapt", "--records", "mine.csv", "--router", "single", "--shots", "4", *LENGTH)
    out, _ = mdkif(
        capsys, "evaluate", "--records", "mine.csv", "--with", "base", "--with", "mine-single", "--json", *LENGTH
    )
    assert [row["with"] for row in json.loads(out)] == ["base", "mine-single"]
    assert {row["task"] for row in json.loads(out)} == {"mine"}
    out, _ = mdkif(capsys, "predict", "mine.csv", "--with", "skill:my-skill", "--json", *LENGTH)
    assert {row["answer"] for row in json.loads(out)} <= {"yes", "no"}
    assert len(json.loads(out)) == 40
    out, _ = mdkif(capsys, "list", "trained", "--json")
    assert [(row["name"], row["trainer"]) for row in json.loads(out)] == [("my-skill", "lora")]
    out, _ = mdkif(capsys, "show", "my-skill")
    assert "title: The records of mine.csv" in out
    assert "batch_size: 2" in out


def test_own_and_converted_records_are_shown_as_the_model_reads_them(store, capsys, tmp_path, mednli):
    mdkif(capsys, "convert", "mednli", str(mednli), "-o", "nli.jsonl")
    official, _ = mdkif(capsys, "preview", "nli", str(mednli), "-n", "2", "--json")
    assert mdkif(capsys, "preview", "nli", "--records", "nli.jsonl", "-n", "2", "--json") == (official, "")
    out, _ = mdkif(capsys, "preview", "--records", "mine.csv", "-n", "1", "--json")
    assert "yes; no" in json.loads(out)[0]["query"]
    _, err = mdkif(capsys, "preview", code=2)
    assert "Give NAME and SOURCE, or --records FILE." in err
    _, err = mdkif(capsys, "preview", "nli", code=2)
    assert "add --source mednli=PATH" in err


def test_own_records_are_taken_by_an_installed_task_and_a_name_of_neither_is_asked_for(store, capsys):
    out, _ = mdkif(capsys, "evaluate", "pubmedqa", "--records", "mine.csv", "--with", "base", "--json", *LENGTH)
    assert json.loads(out)["task"] == "pubmedqa"
    _, err = mdkif(capsys, "adapt", *LENGTH, code=2)
    assert "Name the task ('mdkif list tasks'), or give records of your own with --records FILE." in err
    _, err = mdkif(capsys, "adapt", "pubmedqa", "--records", "mine.csv", "--source", "x", *LENGTH, code=2)
    assert "Give --records or --source, and not both" in err


def test_predict_names_the_field_that_a_record_lacks(store, capsys, tmp_path):
    (tmp_path / "asked.jsonl").write_text('{"question": "Is it?", "options": ["yes", "no"]}\n{"text": "Is it?"}\n')
    _, err = mdkif(capsys, "predict", "asked.jsonl", "--with", "base", *LENGTH, code=2)
    assert "asked.jsonl:2 lacks the field question" in err
    assert len(list(own_records(tmp_path / "asked.jsonl", ConversionReport(skip_bad=True)))) == 1
