"""New plugins from the scaffold: each is installed, passes its own tests and the conformance kit, and is listed."""

import json
import os
import subprocess
import sys
from xml.etree import ElementTree

import pytest
from mdkif.cli import main
from mdkif.core.conformance.scaffold import CATEGORIES, READING, SCAFFOLDED
from mdkif.core.console.app import run
from mdkif.testing import assert_conforms

NEW = (*SCAFFOLDED, *(f"skill-{category}" for category in list(CATEGORIES)[1:]), "task-ner")
READ = [what for what in NEW if what.partition("-")[0] in READING]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A plugin of every kind, and a skill of every category, built and installed into a folder on the path."""
    folder = tmp_path_factory.mktemp("scaffold")
    for what in NEW:
        kind, _, category = what.partition("-")
        line = ["new", kind, f"chest-{what}", str(folder / what), "--title", 'How soon "chest pain" is seen']
        assert run(main, [*line, *(("--category", category) if category else ())]) == 0
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target"]
    subprocess.run([*pip, folder / "site", *(folder / what for what in NEW)], check=True)
    return folder


def python(folder, *arguments):
    """Run Python where the new plugins are installed beside everything else."""
    environment = {**os.environ, "PYTHONPATH": str(folder / "site"), "MDKIF_STORE": str(folder / "store")}
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def results(installed):
    """What each new plugin's own tests told, all run at once: names and failures by kind."""
    report = installed / "report.xml"
    python(installed, "-m", "pytest", "-p", "no:cacheprovider", f"--junitxml={report}", *NEW)
    cases = list(ElementTree.parse(report).iter("testcase"))
    return {
        what: [case for case in cases if case.get("classname", "").endswith(f"_chest_{what.replace('-', '_')}")]
        for what in NEW
    }


@pytest.mark.parametrize("what", NEW)
def test_scaffold_own_tests_pass_at_once(results, what):
    assert len(results[what]) >= 2
    assert not [ElementTree.tostring(case) for case in results[what] if len(case)]


def test_scaffold_of_every_kind_and_category_is_listed_and_keeps_every_rule(installed):
    code = "from mdkif.__main__ import entry; entry()"
    listed = json.loads(python(installed, "-c", code, "list", "--json").stdout)
    assert {f"chest-{what}" for what in NEW} <= {row["name"] for row in listed}
    categories = {row["name"]: row["category"] for row in listed if row["kind"] in ("skill", "task")}
    for what in READ:
        kind, _, category = what.partition("-")
        assert kind == "dataset" or categories[f"chest-{what}"] == CATEGORIES[category or "classification"].official
    done = python(installed, "-c", CHECK, *(f"mdkif-{what.partition('-')[0]}-chest-{what}" for what in READ))
    assert done.stdout.split() == ["kept"] * len(READ), done.stdout + done.stderr


CHECK = "import sys; from mdkif import Toolkit; " \
        "[print(*{each.state for each in Toolkit().check(dist)}) for dist in sys.argv[1:]]"  # fmt: skip
LINES = "import sys; from mdkif.core.console.app import run; from mdkif.cli import main; " \
        "sys.exit(max(run(main, line.split()) for line in sys.argv[1:]))"  # fmt: skip


def test_scaffold_new_skill_and_task_are_trained_routed_and_measured(installed):
    skill, task = (f"site/mdkif_{kind}_chest_{kind}/sample/chest-{kind}" for kind in ("skill", "task"))
    quick = "--base tiny --max-length 200"
    train = f"train chest-skill --source {skill} {quick} --set steps=4"
    adapt = f"adapt chest-task --source {task} {quick} --shots 2 --router chest-router --overlap keep --json"
    done = python(installed, "-c", LINES, train, adapt)
    assert done.returncode == 0, done.stderr
    _, brace, shown = done.stdout.partition("{")
    assert set(json.loads(brace + shown)["weights"]) == {"chest-skill"}


def test_scaffold_writes_what_is_formatted_and_clean(installed):
    """As strictly as the plugins of this repository, but that tests need no docstrings and annotations."""
    folders = [installed / what for what in NEW]
    width = ["--line-length", "120", "--isolated"]
    for words in (["check", "--select", "E,F,W,B,I,UP,SIM,RUF,PTH,PT,RET"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *words, *width, *folders]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_scaffold_of_entities_keeps_overlapping_ones_half_open_offsets_and_texts_without_any(installed):
    file = "from mdkif import ConversionReport, convert; import mdkif_skill_chest_skill_ner as own; "
    code = file + "[print(r.spans, '|'.join(r.context[a:b] for a, b in r.spans), r.answer.splitlines()) for r in " \
        "convert(own.mdkif_datasets()[0], __import__('pathlib').Path('skill-ner/mdkif_skill_chest_skill_ner/sample/" \
        "chest-skill-ner'), ConversionReport())]"  # fmt: skip
    done = python(installed, "-c", code)
    assert done.stdout.splitlines()[1:3] == [
        "((0, 19), (6, 19), (26, 35)) Acute renal failure|renal failure|ibuprofen "
        "['problem: Acute renal failure', 'problem: renal failure', 'drug: ibuprofen']",
        "()  ['none']",
    ]


@pytest.mark.parametrize("kind", ["trainer", "router", "baseline", "evaluator"])
def test_scaffold_of_what_reads_no_data_has_no_category(tmp_path, kind, capsys):
    assert run(main, ["new", kind, "chest", str(tmp_path / "new"), "--category", "ner"]) == 2
    assert f"a {kind} reads no data, so leave it out" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["Chest", "chest pain", "-chest", "chest--pain", "9lives", "", "chest/../pain"])
def test_scaffold_refuses_a_name_that_a_plugin_cannot_have(tmp_path, name, capsys):
    assert run(main, ["new", "skill", name, str(tmp_path / "new")]) == 2
    assert not (tmp_path / "new").exists()
    assert "Error: " in capsys.readouterr().err


def test_scaffold_overwrites_nothing(tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("keep me")
    assert run(main, ["new", "skill", "chest", str(tmp_path)]) == 2
    assert "holds something already: name a new folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_scaffold_needs_kind_and_name_where_nobody_can_be_asked(capsys):
    assert run(main, ["new", "skill"]) == 2
    assert "Give KIND and NAME" in capsys.readouterr().err


def test_scaffold_tells_what_it_wrote(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(main, ["new", "evaluator", "exact", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["dist"] == "mdkif-evaluator-exact"
    assert (tmp_path / "mdkif-evaluator-exact" / "pyproject.toml").exists()
    assert all((tmp_path / file).exists() for file in told["files"])


def test_scaffold_kit_says_what_is_broken(tmp_path):
    with pytest.raises(AssertionError, match=r"converts a sample: There is none of mli_train") as raised:
        assert_conforms("mdkif-dataset-mednli", {"mednli": tmp_path})
    assert str(raised.value).startswith("mdkif-dataset-mednli breaks ")
