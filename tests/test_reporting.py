"""What a person sees: tables, bars and cards that fit the width, in a terminal and piped."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mdkif.core.console import tables as reporting

WORDS = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=12)
SENTENCES = st.lists(WORDS, min_size=1, max_size=20).map(" ".join)


@pytest.fixture(autouse=True)
def _eighty(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)


def test_json_is_one_document_with_letters_as_they_are(capsys):
    reporting.print_json({"name": "Grüße", "n": 1})
    out = capsys.readouterr().out
    assert json.loads(out) == {"name": "Grüße", "n": 1}
    assert "Grüße" in out


def test_tables_numbers_stand_under_each_other(capsys):
    rows = [{"with": "base", "accuracy": 0.25, "n": 7}, {"with": "a blend", "accuracy": 1.0, "n": 1000}]
    reporting.print_rows(rows, ("with", "accuracy", "n"), title="pubmedqa")
    assert capsys.readouterr().out.splitlines() == [
        "pubmedqa",
        "with     accuracy     n",
        "base       0.2500     7",
        "a blend    1.0000  1000",
    ]


def test_tables_missing_small_and_logical_values_have_a_form_of_their_own(capsys):
    reporting.print_rows([{"a": None, "b": 1.5e-8, "c": True, "d": 0.0}], ("a", "b", "c", "d"))
    assert capsys.readouterr().out.splitlines()[1].split() == ["—", "1.5e-08", "yes", "0.0000"]


def test_tables_many_metrics_wrap_their_names_and_never_a_number(capsys):
    names = ("accuracy", "macro_f1", "micro_f1", "auroc", "micro_auroc", "log_loss")
    rows = [{"with": f"icd-coding-{router}", **dict.fromkeys(names, 12.3456)} for router in ("cma-es", "uniform")]
    reporting.print_rows(rows, ("with", *names))
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert out.count("12.3456") == 12


def test_tables_without_rows_are_their_header(capsys):
    reporting.print_rows([], ("name", "title"))
    assert capsys.readouterr().out.split() == ["name", "title"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.fixed_dictionaries({"name": WORDS, "title": SENTENCES, "n": st.integers(0, 9)}), max_size=4))
def test_tables_fit_any_width_and_lose_no_word(capsys, rows):
    reporting.print_rows(rows, ("name", "title", "n"))
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert all(word in out for row in rows for word in row["title"].split())


def test_weights_are_bars_largest_first(capsys):
    reporting.print_weights({"qa": 0.25, "nli": 0.5, "er": -0.125, "ts": 0.0}, "found")
    lines = capsys.readouterr().out.splitlines()
    assert [line.strip() for line in lines] == [
        "found",
        "nli   0.500  " + "█" * 28,
        "qa    0.250  " + "█" * 14,
        "ts    0.000",
        "er   -0.125  " + "█" * 7,
    ]


def test_weights_of_nothing_at_all_are_no_error(capsys):
    reporting.print_weights({"qa": 0.0}, "nothing")
    assert "█" not in capsys.readouterr().out


def test_card_indents_what_is_nested_and_leaves_out_what_is_empty(capsys):
    card = {
        "name": "nli", "papers": ("one", "two"), "options": {}, "note": "", "n": 0,
        "last_run": {"dev_loss": 1.25, "tags": ["x"]}, "data": [{"dataset": "mednli", "n": 2}, {"dataset": "snli"}],
        "template_text": "{# a #}\n  b",
    }  # fmt: skip
    reporting.print_card(card)
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        "name: nli",
        "papers: one, two",
        "n: 0",
        "last run",
        "  dev_loss: 1.25",
        "  tags: x",
        "data",
        "  - dataset: mednli",
        "    n: 2",
        "  - dataset: snli",
        "template text:",
        "  {# a #}",
        "    b",
    ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=SENTENCES)
def test_card_fits_any_width_and_hangs_its_further_lines(capsys, text):
    reporting.print_card({"data": [{"citation": text}]})
    first, *further = capsys.readouterr().out.splitlines()[1:]
    assert first.startswith("  - citation: ")
    assert all(line.startswith("    ") for line in further)
    assert " ".join((first + "".join(further)).split()).replace("- citation: ", "", 1).replace(" ", "") == text.replace(
        " ", ""
    )
    assert max(map(len, [first, *further])) <= 80


def test_tables_lines_stay_as_long_as_they_are(capsys):
    reporting.print_lines(["word " * 60, "[bold] is text"])
    assert capsys.readouterr().out.splitlines() == ["word " * 60, "[bold] is text"]


def test_tables_without_a_width_no_row_or_card_is_broken(monkeypatch, capsys):
    monkeypatch.delenv("COLUMNS")
    reporting.print_rows([{"name": "one", "what": "word " * 200 + "\nsecond"}], ("name", "what"))
    reporting.print_card({"citation": "word " * 200})
    head, row, card = capsys.readouterr().out.splitlines()
    assert head.split() == ["name", "what"]
    assert row.split() == ["one", *["word"] * 200, "second"]
    assert card.split() == ["citation:", *["word"] * 200]


def test_progress_keeps_to_stderr_and_shows_names_as_they_are(capsys):
    progress = reporting.progress()
    progress.note("resuming from [runs]/x :smile:")
    with progress.task("evaluating [x]", 3, done=1) as bar:
        bar.advance(2, loss="0.123")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("resuming from [runs]/x :smile:\n")
    assert "evaluating [x]" in err
    assert "3/3" in err
    assert "loss 0.123" in err
    assert max(map(len, err.splitlines())) <= 80
