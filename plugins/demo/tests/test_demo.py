import json

import pytest
from mdkif import Skill, Task
from mdkif.cli import main
from mdkif.core.plugins import Plugins
from mdkif.core.shell import run
from mdkif_demo.steps import FULL, QUICK, SKILLS, TASK


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """The quick demonstration, run once: its exit code and everything it printed."""
    store = tmp_path_factory.mktemp("demo") / "store"
    return store, run(main, ["--store", str(store), "demo", "--quick", "--json"])


def test_it_leaves_skills_compositions_and_reports(shown):
    store, code = shown
    assert code == 0
    for skill in SKILLS:
        card = json.loads((store / "skills" / "tiny" / skill / "skill.json").read_text())
        assert card["trainer"] == "adalora"
        assert card["rank"]["mean"] == pytest.approx(4.0)
    for router in ("single", "uniform", "gradient", "cma-es"):
        assert (store / "compositions" / "tiny" / f"{TASK}-{router}.json").exists()
        assert (store / "reports" / f"{TASK}-{TASK}-{router}.json").exists()


def test_every_row_is_on_the_same_records(shown):
    store, _ = shown
    reports = [json.loads(path.read_text()) for path in sorted((store / "reports").glob("*.json"))]
    assert len(reports) == 5
    assert len({tuple(row["id"] for row in report["records"]) for report in reports}) == 1
    assert all(0 <= report["metrics"]["auroc"] <= 1 for report in reports)


def test_searched_routers_are_no_worse_than_any_reference(shown):
    store, _ = shown
    for router in ("gradient", "cma-es"):
        origin = json.loads((store / "compositions" / "tiny" / f"{TASK}-{router}.json").read_text())["origin"]
        single = json.loads((store / "compositions" / "tiny" / f"{TASK}-single.json").read_text())["origin"]
        assert origin["objective"] <= single["objective"]


def test_the_json_has_the_promised_shape(tmp_path, capsys):
    assert run(main, ["--store", str(tmp_path), "demo", "--quick", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["task"] == TASK
    assert [row["with"] for row in printed["rows"]] == ["base", "single", "uniform", "gradient", "cma-es"]
    assert all(set(row) == {"with", "metric", "value"} for row in printed["rows"])
    assert set(printed["seconds"]) == {"data", "model", "skills", "routers", "evaluation"}


def test_the_task_is_one_no_skill_of_the_demo_was_trained_on():
    plugins = Plugins()
    read = {source.dataset for skill in SKILLS for source in plugins.get(Skill, skill).sources}
    assert not read & {source.dataset for source in plugins.get(Task, TASK).sources}
    assert set(FULL.steps) == set(QUICK.steps) == set(SKILLS)
