"""The tutorial, followed to the letter in a new environment, and the papers' new-skill experiment with its skill."""

import csv
import gzip
import json
import os
import re
import shlex
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from itertools import pairwise
from pathlib import Path

import pytest
from mdkif import ConversionReport, Dataset, convert
from mdkif.cli import main
from mdkif.core.console.app import run
from mdkif.core.contract.discovery import Plugins

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "docs/examples/mdkif-skill-mimic-meds"
TUTORIAL = (ROOT / "docs/tutorial.md").read_text("utf-8")
EXPERIMENT = (ROOT / "docs/results/new-skill.md").read_text("utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LEFT_BEHIND = {"__pycache__", ".pytest_cache", "build"}
CLINICAL = ("icd-coding", "medication", "readmission")
TWELVE = {"qa", "mcqa", "mc", "mldc", "mrc", "nli", "ts", "ner", "re", "ea", "es", "er"}

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the pages are written for a POSIX shell")


def blocks(page):
    """(what it is, its text) in order: "sh" to run, "shown" what it prints, a language, or the file named before it."""
    found = []
    for block in BLOCK.finditer(page):
        language, text = block.groups()
        named = re.search(r"`([\w.-]+/[\w./-]+)`:\s*\Z", page[: block.start()])
        found.append((named[1] if named else {"text": "shown"}.get(language, language), text))
    return found


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A new virtual environment with all of this one beside it, and the variables of a shell in which it is active."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    ask = [folder / "bin/python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    own = Path(subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip())
    (own / "beside.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    for name, code in {
        "mdkif": "-c 'from mdkif.__main__ import entry; entry()'",
        "pip": "-m pip",
        "pytest": "-m pytest",
    }.items():
        script = folder / "bin" / name
        script.write_text(f'#!/bin/sh\nexec "{folder}/bin/python" {code} "$@"\n')
        script.chmod(0o755)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MDKIF_", "PYTEST_"))}
    offline = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    return own, {**clean, **offline, "PATH": f"{folder}/bin:{os.environ['PATH']}", "COLUMNS": "160"}


@pytest.fixture(scope="module")
def followed(environment, tmp_path_factory):
    """The folder after every block of the tutorial, in order: shell run, files written, output as shown."""
    folder = tmp_path_factory.mktemp("tutorial")
    printed = ""
    for kind, text in blocks(TUTORIAL):
        if kind == "sh":
            command = ["bash", "-euc", text]
            done = subprocess.run(command, cwd=folder, env=environment[1], capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
            printed = done.stdout
        elif kind == "shown":
            lines = [" ".join(line.split()) for line in printed.splitlines()]
            assert {" ".join(line.split()) for line in text.splitlines()} <= set(lines), printed
        elif kind != "toml":
            assert (folder / kind).parent.is_dir(), f"the scaffold has no place for {kind}"
            (folder / kind).write_text(text, "utf-8")
    return folder


def files(folder):
    paths = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    kept = [path for path in paths if not LEFT_BEHIND.intersection(path.parts)]
    return {path.as_posix(): (folder / path).read_text("utf-8") for path in kept}


def told(environment, folder, *words):
    done = subprocess.run(["mdkif", *words, "--json"], cwd=folder, env=environment[1], capture_output=True, check=True)
    return json.loads(done.stdout)


def test_tutorial_page_has_every_kind_of_step():
    kinds = [kind for kind, _ in blocks(TUTORIAL)]
    assert kinds[0] == "sh"
    assert kinds.count("sh") >= 8
    assert {"shown", "toml"} <= set(kinds)
    assert sum("/" in kind for kind in kinds) == 7
    assert all(kind == "sh" for kind, after in pairwise(kinds) if after == "shown")
    assert len(kinds) == TUTORIAL.count("\n```") / 2, "a block has no language"


def test_tutorial_example_is_what_the_tutorial_makes(followed):
    made, kept = files(followed / EXAMPLE.name), files(EXAMPLE)
    assert set(made) == set(kept)
    assert {path: text for path, text in made.items() if kept[path] != text} == {}


def test_tutorial_skill_is_listed_from_the_wheel(followed, environment):
    skills = {row["name"]: row["dist"] for row in told(environment, followed, "list", "skills")}
    assert skills["mimic-meds"] == EXAMPLE.name
    assert set(skills) >= TWELVE
    [installed] = environment[0].glob("mdkif_skill_mimic_meds-*.dist-info")
    assert "editable" not in (installed / "RECORD").read_text()
    [wheel] = (followed / "wheels").iterdir()
    inside = set(zipfile.ZipFile(wheel).namelist())
    package = "mdkif_skill_mimic_meds"
    assert {f"{package}/templates/mimic-meds.jinja", f"{package}/sample/mimic-meds/PRESCRIPTIONS.csv"} <= inside


def test_tutorial_skill_is_trained(followed):
    card = json.loads((followed / "mdkif-store/skills/tiny/mimic-meds/skill.json").read_text())
    assert (card["skill"], card["steps"], card["data"]["datasets"]) == ("mimic-meds", 4, ["mimic-meds"])
    assert card["metrics"]["dev_loss"] < card["metrics"]["dev_loss_before"]


def test_tutorial_skill_is_routed_and_measured(followed):
    composition = json.loads((followed / "mdkif-store/compositions/tiny/medication-gradient.json").read_text())
    assert set(composition["weights"]) == {"nli", "mimic-meds"}
    measured = [json.loads(path.read_text()) for path in (followed / "mdkif-store/reports").glob("medication-*.json")]
    assert {report["with"] for report in measured} == {"base", "skill:mimic-meds", "medication-gradient"}
    assert {report["n"] for report in measured} == {8}


def test_tutorial_lines_for_the_catalogue_are_what_the_plugin_declares(followed, environment):
    [lines] = [text for kind, text in blocks(TUTORIAL) if kind == "toml"]
    entries = tomllib.loads(lines)
    rows = told(environment, followed, "list")
    declared = {row["kind"]: row for row in rows if row["dist"] == EXAMPLE.name}
    assert set(entries) == set(declared) == {"skill", "dataset"}
    for kind, named in entries.items():
        [(name, facts)] = named.items()
        assert (name, facts["title"], facts["dist"]) == tuple(declared[kind][key] for key in ("name", "title", "dist"))
    assert entries["skill"]["mimic-meds"]["dataset"] == "mimic-meds"


@pytest.fixture
def plugged(followed, environment, monkeypatch):
    """The wheel's skill beside the plugins of this process."""
    monkeypatch.syspath_prepend(str(environment[0]))
    return followed


def test_tutorial_learns_from_no_patient_that_a_clinical_task_is_tested_on(plugged):
    hospital = plugged / "hospital/MIMIC-III"
    known = {declared.name: declared for declared, _ in Plugins().all(Dataset)}
    learnt = {r.group for r in convert(known["mimic-meds"], hospital, ConversionReport()) if r.split == "train"}
    assert len(learnt) > 30
    for view in ("icd", "medication", "readmission"):
        records = list(convert(known["mimic-iii"], hospital, ConversionReport(), {"view": view}))
        tested = {record.group for record in records if record.split == "test"}
        assert tested
        assert not tested & learnt
        assert {record.group for record in records if record.split == "train"} & learnt


def test_tutorial_diagnoses_and_drugs_are_those_of_the_tables(plugged):
    """Of every admission, against a plain reading of the tables."""
    folder = plugged / "hospital/MIMIC-III"
    [dataset] = [declared for declared, _ in Plugins().all(Dataset) if declared.name == "mimic-meds"]
    given = {}
    for row in table(folder / "PRESCRIPTIONS.csv.gz"):
        if row["DRUG_TYPE"] == "MAIN":
            given.setdefault(row["HADM_ID"], set()).add(row["DRUG"].lower())
    counted = ConversionReport()
    records = {r.id.rpartition("/")[2]: r for r in convert(dataset, folder, counted, {"most": 1000})}
    assert {name: set(record.answer.split("; ")) for name, record in records.items()} == given
    patients = {row["HADM_ID"]: row["SUBJECT_ID"] for row in table(folder / "DIAGNOSES_ICD.csv.gz")}
    assert all(record.group == patients[name] for name, record in records.items())
    assert counted.left_out["prescription of a base, an additive or nothing"] > 0


def table(path):
    with gzip.open(path, "rt", newline="") as lines:
        return list(csv.DictReader(lines))


# The papers' new-skill experiment


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    """The command lines of the experiment, as a shell expands them, with a plan that takes seconds."""
    plan, experiment = (text for kind, text in blocks(EXPERIMENT) if kind == "sh")
    shell = re.sub(r'^(\w+)=".*"$', lambda found: f'{found[1]}="{QUICK[found[1]]}"', plan, flags=re.MULTILINE)
    shell = "mdkif() { printf '%q ' \"$@\" >&3; echo >&3; }\nmkdir hospital\n" + shell + experiment
    folder = tmp_path_factory.mktemp("expanded")
    subprocess.run(["bash", "-euc", f"exec 3>calls\n{shell}"], cwd=folder, check=True)
    lines = (folder / "hospital/sources.toml").read_text()
    return [shlex.split(call) for call in (folder / "calls").read_text().splitlines()], lines


QUICK = {
    "PATIENTS": "100",
    "TRAIN": "--trainer lora --set steps=1 --set batch_size=1 --set max_length=700 --set dev_records=1",
    "ADAPT": "--router cma-es --scale free --shots 2 --set evaluations=11 --set max_length=320",
    "MEASURE": "--limit 6 --max-length 320",
}


def test_tutorial_experiment_has_every_step(commands):
    calls, lines = commands
    assert lines == 'mimic-meds = "MIMIC-III"\n'
    assert [call[0] for call in calls] == ["synth", "train", *["adapt", "adapt", "evaluate"] * 3]
    assert [call[1] for call in calls if call[0] != "train"][1:] == [task for task in CLINICAL for _ in range(3)]


def test_tutorial_experiment_runs_end_to_end(plugged, commands, tmp_path, monkeypatch, capsys):
    """The twelve and the new skill trained, three routers without and with it, and all measured on the same records."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MDKIF_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("MDKIF_BASE", "tiny")
    calls, lines = commands
    for call in calls:
        assert run(main, call) == 0, capsys.readouterr().err
        if call[0] == "synth":
            with (tmp_path / "hospital/sources.toml").open("a") as sources:
                sources.write(lines)
    cards = [json.loads(path.read_text()) for path in (tmp_path / "store").glob("skills/tiny/*/skill.json")]
    assert {card["skill"] for card in cards} == {*TWELVE, "mimic-meds"}
    for task in CLINICAL:
        before, after = (
            set(json.loads((tmp_path / f"store/compositions/tiny/{task}-{when}.json").read_text())["weights"])
            for when in ("before", "after")
        )
        assert (before, after) == (TWELVE, {*TWELVE, "mimic-meds"})
        reports = [json.loads(path.read_text()) for path in (tmp_path / "store/reports").glob(f"{task}-*.json")]
        assert {r["with"] for r in reports} == {"base", f"{task}-before", "skill:mimic-meds", f"{task}-after"}
        assert len({tuple(record["id"] for record in report["records"]) for report in reports}) == 1
