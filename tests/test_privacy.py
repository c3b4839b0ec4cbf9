"""No record text anywhere but in the files it came from: the program runs where the records are patients."""

import json
import subprocess
import sys

import pytest
from mdkif.cli import main
from mdkif.core.console.app import run
from mdkif.core.training import loop as training

QUERY, CONTEXT, ANSWER = "Quixotryquery", "Xylocontext", "Zymoanswer"
SENTINELS = (QUERY, CONTEXT, ANSWER)


@pytest.fixture
def sources(tmp_path):
    """An ontology whose definitions, and a PubMedQA and a MedNLI whose texts, all hold the sentinels."""
    terms = ["format-version: 1.2", "ontology: doid", ""]
    for number in range(40):
        terms += ["[Term]", f"id: DOID:{number}", f"name: {QUERY} {number}"]
        terms += [f'def: "A disease of the {ANSWER} number {number}." []', ""]
    (tmp_path / "doid.obo").write_text("\n".join(terms))
    articles = {
        str(pmid): {
            "QUESTION": f"Does {QUERY} {pmid} help?",
            "CONTEXTS": [f"{CONTEXT} {pmid}"],
            "LONG_ANSWER": ANSWER,
            "final_decision": ("yes", "no", "maybe")[pmid % 3],
        }
        for pmid in range(1000, 1030)
    }
    (tmp_path / "ori_pqal.json").write_text(json.dumps(articles))
    truth = {pmid: article["final_decision"] for pmid, article in list(articles.items())[:10]}
    (tmp_path / "test_ground_truth.json").write_text(json.dumps(truth))
    return tmp_path


def texts(folder):
    """Every file under a folder, as bytes."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def leaks(*given):
    """The sentinels that are in any of the texts."""
    return [
        word
        for word in SENTINELS
        for text in given
        if word.encode() in (text if isinstance(text, bytes) else text.encode())
    ]


def test_privacy_of_record_text_in_store_and_output(sources, tmp_path, capsys, monkeypatch):
    store = tmp_path / "store"
    write = training.save_checkpoint
    kept = []

    def keep(path, *given):
        write(path, *given)
        kept.append(path.read_bytes())

    monkeypatch.setattr(training, "save_checkpoint", keep)

    def call(*arguments):
        code = run(main, ["--store", str(store), *arguments, "--base", "tiny"])
        out, err = capsys.readouterr()
        assert code == 0, err
        assert leaks(out, err) == []

    fast = ("--trainer", "lora", "--set", "steps=3", "--set", "batch-size=2", "--set", "checkpoint-every=1")
    call("train", "ea", "--source", f"disease-ontology={sources / 'doid.obo'}", *fast)
    call("train", "qa", "--source", str(sources), *fast, "--json")
    call("adapt", "pubmedqa", "--source", str(sources), "--shots", "4", "--set", "steps=2")
    call("evaluate", "pubmedqa", "--source", str(sources), "--with", "base", "--with", "pubmedqa-gradient", "--json")
    call("export", "pubmedqa-gradient", str(tmp_path / "out"), "--to", "lora")
    made = texts(store) | texts(tmp_path / "out")
    names = {path.name for path in made}
    assert {"skill.json", "README.md", "pubmedqa-gradient.json", "mdkif.json"} <= names
    assert any(name.startswith("pubmedqa-base-") for name in names)
    assert kept
    assert leaks(*made.values(), *kept) == []
    assert run(main, ["--store", str(store), "show", "ea"]) == 0
    assert leaks(capsys.readouterr().out) == []


def test_privacy_watch_notices(sources, capsys):
    assert run(main, ["preview", "pubmedqa", str(sources), "-n", "1"]) == 0
    assert leaks(capsys.readouterr().out) == [QUERY, CONTEXT]


ROW = {"sentence1": f"{CONTEXT} a", "sentence2": f"{QUERY} b", "pairID": "1", "gold_label": ANSWER}


@pytest.mark.parametrize("row", [json.dumps(ROW), json.dumps(ROW)[:-4], json.dumps([CONTEXT]), CONTEXT])
def test_privacy_malformed_row_is_placed_and_not_quoted(tmp_path, capsys, row):
    (tmp_path / "mli_train_v1.jsonl").write_text(row + "\n")
    for command in (["convert", "mednli", str(tmp_path), "-o", str(tmp_path / "x.jsonl")],):
        assert run(main, command) == 2
        out, err = capsys.readouterr()
        assert "mli_train_v1.jsonl:1" in err
        assert leaks(out, err) == []
        assert run(main, [*command, "--skip-bad", "--json"]) == 2
        out, err = capsys.readouterr()
        assert "all that was read is left out (1 malformed: " in err
        assert leaks(out, err) == []


RECORD = {"id": "1", "query": QUERY, "answer": ANSWER, "context": CONTEXT}


@pytest.mark.parametrize(
    "row",
    [{**RECORD, "split": ANSWER}, {**RECORD, "labels": [ANSWER], "options": ["yes"]}, {**RECORD, CONTEXT: 1},
     {**RECORD, "answer": [ANSWER]}],
)  # fmt: skip
def test_privacy_record_that_is_none_is_placed_and_not_quoted(tmp_path, capsys, row):
    (tmp_path / "x.jsonl").write_text(json.dumps(row) + "\n")
    assert run(main, ["predict", str(tmp_path / "x.jsonl"), "--with", "base", "--base", "tiny"]) == 2
    out, err = capsys.readouterr()
    assert "x.jsonl:1" in err
    assert leaks(out, err) == []


@pytest.mark.parametrize(
    "wrong", ["{{ options[context] }}", "{{ query.missing }}", "{{ (query + context) | int / 0 }}"]
)
def test_privacy_failing_template_is_placed_and_quotes_no_text(sources, tmp_path, capsys, wrong):
    folder = tmp_path / "store" / "templates"
    folder.mkdir(parents=True)
    (folder / "pubmedqa.jinja").write_text(
        "{% extends 'question-answering.jinja' %}{% block query %}" + wrong + "{% endblock %}"
    )
    assert run(main, ["--store", str(tmp_path / "store"), "preview", "pubmedqa", str(sources)]) == 2
    out, err = capsys.readouterr()
    assert "pubmedqa.jinja:1" in err
    assert leaks(out, err) == []


def test_privacy_error_nobody_foresaw_quotes_nothing(sources):
    """A whole process, so that no hook of the interpreter adds a traceback with the text."""
    code = f"""
import sys
from mdkif.cli import main
from mdkif.core import toolkit
from mdkif.core.console import app
def fail(*_): raise ValueError({CONTEXT!r})
toolkit.Toolkit.preview = fail
sys.exit(app.run(main, sys.argv[1:]))
"""
    line = ["preview", "pubmedqa", str(sources)]
    done = subprocess.run([sys.executable, "-c", code, *line], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "An unexpected ValueError" in done.stderr
    assert leaks(done.stdout, done.stderr) == []
