"""The demonstration as people run it: what it leaves, what it prints, and that a seed repeats it."""

import contextlib
import csv
import gzip
import io
import json
import re
import shlex
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from mdkif import Skill, Task, Toolkit, hashed_split
from mdkif.testing import assert_conforms, run
from mdkif_demo.steps import FULL, METRIC, QUICK, SKILLS, TASK

ROUTERS = ("single", "uniform", "gradient", "cma-es")


class Shown(NamedTuple):
    store: Path
    code: int
    printed: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        found = json.loads(self.printed)["rows"]
        assert isinstance(found, list)
        return found


def ran(store: Path, *options: str) -> Shown:
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        code = run("--store", store, "demo", "--quick", *options)
    return Shown(store, code, printed.getvalue())


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """The quick demonstration for programs."""
    return ran(tmp_path_factory.mktemp("demo") / "store", "--json")


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """The same for people, without a word about the store."""
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as printed:
        patch.chdir(folder)
        patch.delenv("MDKIF_STORE", raising=False)
        code = run("demo", "--quick", "--seed", "0")
    return Shown(folder / "mdkif-demo", code, printed.getvalue())


def test_demo_conforms():
    assert_conforms("mdkif-demo")


def test_demo_leaves_skills_compositions_and_reports(shown):
    assert shown.code == 0
    for skill in SKILLS:
        card = json.loads((shown.store / "skills" / "tiny" / skill / "skill.json").read_text())
        assert card["trainer"] == "adalora"
        assert card["rank"]["mean"] == pytest.approx(4.0)
        assert card["steps"] == QUICK.steps[skill]
        assert card["data"]["datasets"] == [SKILLS[skill][0]]
    for router in ROUTERS:
        assert (shown.store / "compositions" / "tiny" / f"{TASK}-{router}.json").exists()
        assert len(list((shown.store / "reports").glob(f"{TASK}-{TASK}-{router}-*.json"))) == 1


def test_demo_every_row_is_on_the_same_records(shown):
    reports = [json.loads(path.read_text()) for path in sorted((shown.store / "reports").glob("*.json"))]
    assert len(reports) == 5
    assert len({tuple(row["id"] for row in report["records"]) for report in reports}) == 1
    assert {len(report["records"]) for report in reports} == {json.loads(shown.printed)["n"]}
    assert all(0 <= report["metrics"][METRIC] <= 1 for report in reports)


def test_demo_figures_are_of_patients_whom_neither_labels_nor_routers_were_chosen_on(shown):
    with gzip.open(shown.store / "demo" / "hospital" / "MIMIC-III" / "ADMISSIONS.csv.gz", "rt", newline="") as file:
        patients = {row["HADM_ID"]: row["SUBJECT_ID"] for row in csv.DictReader(file)}
    [file] = (shown.store / "reports").glob(f"{TASK}-{TASK}-cma-es-*.json")
    report = json.loads(file.read_text())
    tested = {patients[row["id"].rpartition("/")[2]] for row in report["records"]}
    assert {hashed_split(patient) for patient in tested} == {"test"}
    made = json.loads((shown.store / "compositions" / "tiny" / f"{TASK}-cma-es.json").read_text())
    assert made["origin"]["records"] == QUICK.shots


def test_demo_searched_routers_are_no_worse_than_any_reference(shown):
    def origin(router):
        return json.loads((shown.store / "compositions" / "tiny" / f"{TASK}-{router}.json").read_text())["origin"]

    for router in ("gradient", "cma-es"):
        for reference in ("single", "uniform"):
            assert origin(router)["objective"] <= origin(reference)["objective"]


def test_demo_json_has_the_promised_shape(shown):
    printed = json.loads(shown.printed)
    assert printed["task"] == TASK
    assert 10 <= printed["n"] <= QUICK.test
    assert [row["with"] for row in printed["rows"]] == ["base", *ROUTERS]
    assert all(set(row) == {"with", "metric", "value"} for row in printed["rows"])
    assert set(printed["seconds"]) == {"data", "model", "skills", "routers", "evaluation"}


def test_demo_people_are_told_the_same_figures_for_the_same_seed(shown, told):
    assert told.code == 0
    table = dict(re.findall(r"^(base|[a-z-]+) +(\d\.\d{4})$", told.printed, re.MULTILINE))
    assert table == {row["with"]: f"{row['value']:.4f}" for row in shown.rows}
    assert f"{METRIC} on the same {json.loads(shown.printed)['n']} test records" in told.printed
    for router in ("gradient", "cma-es"):
        bars = told.printed.partition(f"weights found by {router}\n")[2].splitlines()[: len(SKILLS)]
        assert {line.split()[0] for line in bars} == set(SKILLS)


def test_demo_all_that_demo_says_to_have_made_is_there(told):
    listed = told.printed.partition("What was made:\n")[2].partition("\n\n")[0].splitlines()
    paths = [told.store.parent / line.strip() for line in listed]
    assert len(paths) == 1 + len(SKILLS) + 2
    assert all(path.exists() and path.is_relative_to(told.store) for path in paths)


def test_demo_has_a_store_of_its_own(told):
    assert "mdkif-store" not in {path.name for path in told.store.parent.iterdir()}
    assert (told.store / "skills" / "tiny" / "nli" / "skill.json").exists()


def test_demo_what_demo_says_to_try_next_works(told, monkeypatch):
    """Typed as printed, in the folder where the demonstration ran."""
    monkeypatch.chdir(told.store.parent)
    commands = [shlex.split(line) for line in re.findall(r"^  mdkif (.*)$", told.printed, re.MULTILINE)]
    assert [words[2] for words in commands] == ["list", "show", "preview", "export"]
    for words in commands:
        with contextlib.redirect_stdout(io.StringIO()):
            assert run(*words) == 0, words
    assert (told.store.parent / "icd-lora" / "adapter_model.safetensors").exists()


def test_demo_task_is_one_no_skill_of_the_demo_was_trained_on():
    kit = Toolkit()
    read = {source.dataset for skill in SKILLS for source in kit.plugins.get(Skill, skill).sources}
    assert not read & {source.dataset for source in kit.plugins.get(Task, TASK).sources}
    assert set(FULL.steps) == set(QUICK.steps) == set(SKILLS)
