"""Records of one's own that become a plugin: what it knows, what it holds, and that it works at once."""

import json
import subprocess
import sys

import pytest
from mdkif import ConversionReport, convert
from mdkif.cli import main
from mdkif.core.console.app import run

ROWS = [
    {"question": "How soon?", "options": ["now", "later"], "answer": ["now"], "context": "SECRET one", "group": "a"},
    {"question": "How soon?", "options": ["now", "later"], "answer": ["later"], "context": "SECRET two", "group": "b"},
]
OPEN = [{"question": "What helps?", "answer": "SECRET tea", "context": "They drank something."}]


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """Writes rows, and stands in the folder that holds them."""
    monkeypatch.chdir(tmp_path)

    def write(rows, name="mine.jsonl"):
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        return tmp_path / name

    return write


def texts(folder):
    return {path: path.read_text("utf-8") for path in folder.rglob("*") if path.is_file()}


def module(folder, package, monkeypatch):
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, package, raising=False)
    return __import__(package)


def test_growing_task_reads_its_file_where_it_is_and_holds_none_of_it(mine, tmp_path, monkeypatch):
    file = mine(ROWS)
    assert run(main, ["new", "task", "urgency", "--from", str(file)]) == 0
    folder = tmp_path / "mdkif-task-urgency"
    assert not [path for path, text in texts(folder).items() if "SECRET" in text]
    plugin = module(folder, "mdkif_task_urgency", monkeypatch)
    [task], [dataset] = plugin.mdkif_tasks(), plugin.mdkif_datasets()
    assert (task.category, task.evaluator, task.multi_label) == ("text-classification", "classification", False)
    assert plugin.installed().path == file.resolve()
    found = list(convert(dataset, plugin.installed().path, ConversionReport()))
    assert [record.context for record in found] == ["SECRET one", "SECRET two"]


def test_growing_skill_includes_the_file_only_where_that_is_asked_for(mine, tmp_path, monkeypatch):
    file = mine(OPEN)
    assert run(main, ["new", "skill", "tea", "--from", str(file), "--include-data"]) == 0
    folder = tmp_path / "mdkif-skill-tea"
    assert [path.name for path, text in texts(folder).items() if "SECRET" in text] == ["mine.jsonl"]
    file.unlink()
    plugin = module(folder, "mdkif_skill_tea", monkeypatch)
    assert plugin.mdkif_skills()[0].category == "question-answering"
    assert plugin.installed().path.read_text("utf-8").count("SECRET") == 1


@pytest.mark.parametrize("kind", ["task", "skill"])
@pytest.mark.parametrize("rows", [ROWS, OPEN, [{**ROWS[0], "answer": ["now", "later"]}]])
def test_growing_plugin_keeps_the_rules(mine, tmp_path, kind, rows):
    assert run(main, ["new", kind, "grown", "--from", str(mine(rows))]) == 0
    folder = tmp_path / f"mdkif-{kind}-grown"
    info = tmp_path / "site" / f"mdkif_{kind}_grown-0.1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.4\nName: mdkif-{kind}-grown\nVersion: 0.1.0\nSummary: Grown\n"
        "Requires-Python: >=3.11\nLicense: CC0\n"
    )
    (info / "entry_points.txt").write_text(f"[mdkif]\ngrown = mdkif_{kind}_grown\n")
    paths = [str(folder), str(tmp_path / "site")]
    code = f"import sys; sys.path[:0] = {paths!r}; from mdkif.__main__ import entry; entry()"
    done = subprocess.run(
        [sys.executable, "-c", code, "check", f"mdkif-{kind}-grown"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken, 0 not checked" in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["task", "x", "--include-data"], "no records to include: name their file with --from FILE"),
        (["router", "x", "--from", "mine.jsonl"], "--from is for a skill or a task"),
        (["task", "x", "--from", "nowhere.jsonl"], "no records at nowhere.jsonl: check the path"),
        (["task", "x", "--from", "empty.jsonl"], "no record in empty.jsonl: give rows with"),
    ],
)
def test_growing_from_nothing_is_bad_input_and_writes_nothing(mine, tmp_path, capsys, words, message):
    mine(ROWS)
    mine([], "empty.jsonl")
    assert run(main, ["new", *words]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.glob("mdkif-*"))


def test_growing_plugin_whose_file_was_moved_says_where_it_was(mine, tmp_path, monkeypatch):
    file = mine(ROWS)
    assert run(main, ["new", "task", "moved", "--from", str(file)]) == 0
    plugin = module(tmp_path / "mdkif-task-moved", "mdkif_task_moved", monkeypatch)
    file.unlink()
    with pytest.raises(
        Exception, match=r"records of 'moved' are not at .*mine.jsonl: put them there, or give --source"
    ):
        plugin.installed()
