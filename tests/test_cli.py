"""The command line as a person meets it: from pulling a base model to an exported blend, and what scripts read."""

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mdkif.cli import main
from mdkif.core.console.app import run

ROUTERS = ("cma-es", "gradient", "uniform", "single")


@pytest.fixture
def mdkif(capsys):
    """A function that runs one command line; it returns exit code, stdout and stderr."""

    def call(*arguments):
        code = run(main, [str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return call


@pytest.fixture
def document(mdkif):
    """A function that runs one command line with --json and returns the document that stdout is."""

    def call(*arguments):
        code, out, err = mdkif(*arguments, "--json")
        assert code == 0, err
        return json.loads(out)

    return call


@pytest.fixture(scope="module")
def store(tmp_path_factory, mednli, pubmedqa):
    """A store with the base tiny and two trained skills on it."""
    store = tmp_path_factory.mktemp("cli") / "store"
    train = ["train", "nli", "qa", "--source", f"mednli={mednli}", "--source", f"pubmedqa={pubmedqa}"]
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert run(main, ["--store", str(store), *train, "--base", "tiny", *QUICK]) == 0
    assert re.search(r"^nli +adalora +6 +12", out.getvalue(), re.MULTILINE)
    return store


QUICK = ["--set", "steps=6", "--set", "batch-size=2"]


@pytest.fixture(autouse=True)
def _environment(monkeypatch, store, tmp_path):
    monkeypatch.setenv("MDKIF_STORE", str(store))
    monkeypatch.setenv("MDKIF_BASE", "tiny")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def blend(store):
    """The name of a composition in the store."""
    with contextlib.redirect_stdout(io.StringIO()):
        weights = ["--skill", "nli=0.6", "--skill", "qa=0.4", "--base", "tiny"]
        assert run(main, ["--store", str(store), "compose", "by-hand", *weights]) == 0
    return "by-hand"


# What is there


def test_list_says_name_kind_title_distribution_and_version(document):
    rows = document("list")
    assert all({"name", "kind", "title", "dist", "version"} <= set(row) for row in rows)
    known = {(row["kind"], row["name"]): row for row in rows}
    assert known["skill", "nli"]["dist"] == "mdkif-skill-nli"
    assert known["dataset", "mednli"]["access"] == "PhysioNet credentialed account"
    kinds = ("skill", "task", "dataset", "trainer", "router", "baseline", "recipe", "evaluator", "model")
    for kind in kinds:
        assert {row["kind"] for row in document("list", f"{kind}s")} == {kind}
    assert {row["kind"] for row in rows} == set(kinds)


def test_list_available_is_known_and_not_installed(document):
    installed = {(row["kind"], row["name"]) for row in document("list")}
    available = document("list", "--available")
    assert not installed & {(row["kind"], row["name"]) for row in available}
    assert all(row["dist"].startswith("mdkif-") for row in available)


def test_plugins_say_what_each_provides(document):
    rows = document("plugins")
    assert all(set(row) >= {"dist", "version", "provides", "error", "remedy", "seconds"} for row in rows)
    nli = next(row for row in rows if row["dist"] == "mdkif-skill-nli")
    assert (nli["provides"], nli["error"]) == (["skill nli"], None)


def test_plugins_may_be_none_without_an_error(mdkif, monkeypatch):
    monkeypatch.setenv("MDKIF_PLUGINS", "")
    assert mdkif("list", "--json") == (0, "[]\n", "")
    assert json.loads(mdkif("plugins", "--json")[1]) == []
    code, _, err = mdkif("train", "nli", "--source", "x")
    assert (code, err) == (2, "Error: The skill 'nli' is not installed: pip install mdkif-skill-nli.\n")


@pytest.fixture
def broken(tmp_path, monkeypatch):
    """An installed distribution whose module cannot be imported."""
    info = tmp_path / "site" / "mdkif_task_emrqa-9.9.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mdkif-task-emrqa\nVersion: 9.9\n")
    (info / "entry_points.txt").write_text("[mdkif]\nemrqa = mdkif_task_emrqa_broken\n")
    (tmp_path / "site" / "mdkif_task_emrqa_broken.py").write_text(
        "print('noise')\nraise RuntimeError('out of order')\n"
    )
    monkeypatch.syspath_prepend(tmp_path / "site")


def test_plugins_name_a_broken_one_that_breaks_nothing_else(mdkif, broken):
    for form in ([], ["--json"]):
        code, out, err = mdkif("list", *form)
        assert code == 0
        assert "nli" in out
        assert err.splitlines()[-1] == ("1 plugin(s) could not be used: mdkif-task-emrqa; 'mdkif plugins' says why.")
    code, out, _ = mdkif("plugins", "--json")
    assert code == 0
    row = next(row for row in json.loads(out) if row["dist"] == "mdkif-task-emrqa")
    assert (row["version"], row["provides"], row["error"]) == ("9.9", [], "RuntimeError: out of order")
    assert row["remedy"].endswith("mdkif_task_emrqa_broken.py:2, or 'mdkif uninstall mdkif-task-emrqa'")
    table = " ".join(mdkif("plugins")[1].split())
    assert "FAILED: RuntimeError: out of order Remedy: mend " in table
    code, _, err = mdkif("adapt", "emrqa", "--source", "x")
    assert code == 2
    assert "mdkif-task-emrqa failed (RuntimeError: out of order); " in err


def test_show_is_a_card(document, mdkif):
    card = document("show", "nli")
    assert card["papers"] == ["SA-MDKIF table 1", "STAF-LLM table 1"]
    assert card["data"][0]["access"] == "PhysioNet credentialed account"
    assert "text-classification.jinja" in card["template_text"]
    assert card["trained"][0]["base"] == "tiny"
    code, out, _ = mdkif("show", "nli")
    assert code == 0
    assert "access: PhysioNet credentialed account" in out


@pytest.mark.parametrize(
    ("name", "own", "of_the_stage"),
    [
        ("cma-es", {"evaluations", "sigma", "patience"}, {"shots", "limit", "objective", "scale", "granularity"}),
        ("uniform", set(), {"shots", "gamma", "temperature", "max_length", "split_policy"}),
        ("adalora", {"init_rank", "target_rank", "learning_rate"}, {"steps", "epochs", "batch_size", "tokens"}),
    ],
)
def test_show_explains_every_setting_that_a_person_may_give(document, mdkif, monkeypatch, name, own, of_the_stage):
    """Whatever `--set` takes is there, with its default and its meaning."""
    card = document("show", name)
    rows = {row["name"]: row for row in card["settings"] + card["stage_settings"]}
    assert own <= {row["name"] for row in card["settings"]}
    assert of_the_stage <= {row["name"] for row in card["stage_settings"]}
    assert all(row["meaning"] and row["may_be"] for row in rows.values())
    line = ["train", "nli", "--trainer"] if "steps" in of_the_stage else ["adapt", "pubmedqa", "--router"]
    code, _, err = mdkif(*line, name, "--source", ".", "--set", "zz=1")
    assert code == 2
    assert set(re.search("known are (.*)\\.", err)[1].split(", ")) == set(rows)
    monkeypatch.setenv("COLUMNS", "400")
    _, out, _ = mdkif("show", name)
    for row in rows.values():
        assert row["meaning"] in " ".join(out.split()), row["name"]


# From files to records


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_convert_reports_what_it_did(document, mednli, tmp_path, suffix):
    from mdkif import read_records

    out = tmp_path / f"nli.{suffix}"
    report = document("convert", "mednli", mednli, "-o", out)
    assert {key: report[key] for key in ("dataset", "records", "left_out", "splits")} == {
        "dataset": "mednli", "records": 36, "left_out": {}, "splits": {"train": 24, "dev": 6, "test": 6},
    }  # fmt: skip
    assert isinstance(report["seconds"], float)
    assert len(list(read_records(out))) == 36


def test_preview_shows_what_the_model_will_see(document, mdkif, pubmedqa):
    rows = document("preview", "pubmedqa", pubmedqa, "-n", 2)
    assert [set(row) for row in rows] == [{"id", "query", "context", "answer"}] * 2
    assert rows[0]["query"].endswith("Choose from: yes; no; maybe.")
    code, out, _ = mdkif("preview", "pubmedqa", f"pubmedqa={pubmedqa}", "-n", 1)
    assert code == 0
    assert out.startswith("id: pubmedqa/1000\nquery: Does ")


# Stages I and II


def test_train_reports_each_skill(document, mednli, tmp_path):
    arguments = ("--trainer", "lora", "--source", mednli, "--set", "steps=2", "--set", "batch-size=2", "--seed", 3)
    [card] = document("--store", tmp_path / "other", "train", "nli", *arguments)
    assert (card["skill"], card["trainer"], card["base"], card["steps"]) == ("nli", "lora", "tiny", 2)
    assert card["settings"]["seed"] == 3
    assert card["data"]["datasets"] == ["mednli"]
    assert set(card["metrics"]) == {"train_loss", "dev_loss_before", "dev_loss"}
    folder = Path(card["path"])
    assert json.loads((folder / "skill.json").read_text())["adapter"] == card["adapter"]
    assert (folder / "adapter_model.safetensors").exists()
    assert not list((tmp_path / "other").glob("runs/*"))


@pytest.mark.parametrize("router", ROUTERS)
def test_adapt_reports_the_weights_and_the_objective(document, pubmedqa, router):
    extra = ("--set", "evaluations=8") if router == "cma-es" else ()
    report = document("adapt", "pubmedqa", "--source", pubmedqa, "--shots", 4, "--router", router, "--scale", "one",
                      *extra)  # fmt: skip
    assert {"task", "composition", "weights", "objective", "evaluations", "seconds"} <= set(report)
    assert (report["task"], report["composition"]) == ("pubmedqa", f"pubmedqa-{router}")
    assert set(report["weights"]) == {"nli", "qa"}
    assert sum(report["weights"].values()) == pytest.approx(1, abs=1e-5)
    assert {"start", "end", "uniform"} <= set(report["objective"])
    if router == "uniform":
        assert report["objective"]["end"] == report["objective"]["uniform"]
    else:
        assert report["objective"]["end"] <= report["objective"]["start"] <= report["objective"]["uniform"]


def test_adapt_shows_bars(mdkif, pubmedqa):
    arguments = ("--shots", 2, "--router", "single", "--name", "mine", "--skills", "nli,qa")
    code, out, err = mdkif("adapt", "pubmedqa", "--source", pubmedqa, *arguments)
    assert code == 0, err
    assert out.startswith("mine on tiny\n")
    assert re.search(r"^  (nli|qa) +1\.000  █{28}$", out, re.MULTILINE)
    assert re.search(r"^objective choice \d\.\d{4}; before, base \d\.\d{4}, nli ", out, re.MULTILINE)
    assert re.search(r"^the weights are 0\.000 away from (nli|qa), the nearest of these$", out, re.MULTILINE)
    assert "references" in err


def test_compose_takes_weights_by_hand(document, store):
    made = document("compose", "half", "--skill", "nli=0.5", "--skill", "qa=-0.25")
    assert made["weights"] == {"nli": 0.5, "qa": -0.25}
    assert json.loads((store / "compositions" / "tiny" / "half.json").read_text()) == made


def test_evaluate_reports_metrics_of_one_or_several(document, pubmedqa, blend):
    one = document("evaluate", "pubmedqa", "--source", pubmedqa, "--with", "base", "--limit", 6)
    assert {"task", "with", "n", "metrics"} <= set(one)
    assert (one["task"], one["with"], one["n"]) == ("pubmedqa", "base", 6)
    assert 0 <= one["metrics"]["accuracy"] <= 1
    several = document(
        "evaluate", "pubmedqa", "--source", pubmedqa, "--limit", 6,
        "--with", "base", "--with", "skill:nli", "--with", blend,
    )  # fmt: skip
    assert [row["with"] for row in several] == ["base", "skill:nli", blend]
    assert several[0] == one


def test_evaluate_shows_a_table_without_noise(mdkif, pubmedqa, blend):
    targets = ("--with", "base", "--with", blend)
    code, out, err = mdkif("evaluate", "pubmedqa", "--source", pubmedqa, *targets)
    assert code == 0, err
    lines = out.splitlines()
    assert lines[0] == "pubmedqa, 20 records"
    assert "accuracy" in lines[1]
    assert "undefined" not in out
    assert max(map(len, lines)) <= 80
    assert re.search(r"^by-hand +0\.\d{4} ", out, re.MULTILINE)


def test_predict_answers_records(document, mdkif, pubmedqa, tmp_path, blend):
    records = tmp_path / "records.jsonl"
    document("convert", "pubmedqa", pubmedqa, "-o", tmp_path / "all.jsonl")
    records.write_text("".join((tmp_path / "all.jsonl").read_text().splitlines(True)[:3]))
    rows = document("predict", records, "--with", blend)
    assert [row["id"] for row in rows] == ["pubmedqa/1000", "pubmedqa/1001", "pubmedqa/1002"]
    assert all(row["answer"] == max(row["scores"], key=row["scores"].get) for row in rows)
    code, out, _ = mdkif("predict", records, "--with", blend)
    assert code == 0
    assert out.splitlines() == [row["answer"] for row in rows]


def test_predict_answers_plain_text_line_by_line(document, mdkif, tmp_path, monkeypatch):
    text = "What is asthma?\n\nIs aspirin safe?\n"
    questions = tmp_path / "questions.txt"
    questions.write_text(text)
    from_file = document("predict", questions, "--with", "base", "--max-new-tokens", 40)
    assert [row["id"] for row in from_file] == ["1", "2"]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    code, out, _ = mdkif("predict", "--with", "base", "--max-new-tokens", 40)
    assert code == 0
    assert len(out.splitlines()) == 2
    for line, row in zip(out.splitlines(), from_file, strict=True):
        assert line[:20] == row["answer"][:20]


def test_export_writes_a_lora_and_a_merged_model(document, tmp_path, blend):
    lora = document("export", blend, tmp_path / "lora", "--to", "lora")
    assert json.loads((tmp_path / "lora" / "adapter_config.json").read_text())["r"] == lora["rank"]
    merged = document("export", blend, tmp_path / "merged", "--to", "merged")
    numbers = getattr(torch, json.loads((tmp_path / "merged" / "config.json").read_text())["dtype"])
    assert 0 < merged["update_error"] < (1e-4 if numbers is torch.float32 else 1)
    assert lora["update_error"] == 0


# How it behaves


def test_console_is_quiet_over_both_stages(mednli, pubmedqa, tmp_path):
    """Real processes: nothing but progress on stderr, and only the document on stdout."""
    source = f"""
import sys
from mdkif.cli import main
from mdkif.core.console.app import run
store = ["--store", {str(tmp_path / "store")!r}]
train = ["train", "nli", "--source", {str(mednli)!r}, {", ".join(map(repr, QUICK))}]
adapt = ["adapt", "pubmedqa", "--source", {str(pubmedqa)!r}, "--shots", "2", "--scale", "one", "--set", "steps=2"]
print("{{}}") if run(main, store + train + ["--json"]) == 0 else sys.exit(1)
sys.exit(run(main, store + adapt + ["--json"]))
"""
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    card, adapted = re.split(r"^\{\}$", done.stdout, flags=re.MULTILINE)
    assert json.loads(card)[0]["skill"] == "nli"
    assert json.loads(adapted)["weights"] in ({"nli": 1.0}, {"nli": 0.0}), "one skill has a fixed weight, the base none"
    own = re.sub(r"^2 'adapt' records of 'pubmedqa', of the labels: .*$", "", done.stderr, flags=re.MULTILINE)
    shown = [line.split()[0] for line in own.splitlines() if line.strip()]
    assert set(shown) <= {"training", "references", "router:"}, done.stderr


def test_console_script_leaves_with_the_exit_code():
    script = Path(sys.executable).with_name("mdkif")
    good = subprocess.run([script, "--version"], capture_output=True, text=True, check=False)
    assert (good.returncode, good.stderr) == (0, "")
    bad = subprocess.run([script, "shwo"], capture_output=True, text=True, check=False)
    assert (bad.returncode, bad.stdout) == (2, "")
    assert bad.stderr == "Error: There is no command named 'shwo': did you mean 'show'?\n"


def test_console_without_the_characters_still_gets_a_table(blend, store):
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    script = Path(sys.executable).with_name("mdkif")
    done = subprocess.run([script, "list"], capture_output=True, env=environment, check=False)
    assert done.returncode == 0
    assert done.stdout.isascii()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_console_full_disk_under_stdout_is_one_sentence():
    script = Path(sys.executable).with_name("mdkif")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([script, "list", "--json"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: The output cannot be used (No space left on device)")
    assert len(done.stderr.splitlines()) == 1


def test_console_reader_that_goes_early_is_no_error():
    script = Path(sys.executable).with_name("mdkif")
    done = subprocess.run(f"{script} list --json | head -c 5", shell=True, capture_output=True, text=True, check=False)
    assert done.stdout == "[\n  {"
    assert done.stderr == ""


def test_console_colour_is_for_terminals(monkeypatch, mdkif, blend):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    weights = ("compose", blend, "--skill", "nli=0.6", "--skill", "qa=0.4")
    assert "\x1b[36m" in mdkif(*weights)[1]
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[36m" not in mdkif(*weights)[1]
