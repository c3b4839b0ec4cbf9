"""Data sets given by option or in a file, and every skill they can train in one command."""

import io
import json

import pytest
from mdkif import BadInput, Skill, Task, Toolkit
from mdkif.cli import main
from mdkif.core.console.app import run
from mdkif.core.console.arguments import sources_of, trainable
from mdkif.core.console.tables import RichProgress
from mdkif.core.data.sources import listed_sources
from rich.console import Console


@pytest.fixture
def kit(tmp_path, plugins):
    return Toolkit(tmp_path / "store", plugins=plugins)


@pytest.fixture
def listed(tmp_path, mednli, pubmedqa):
    """A file that names two data sets, one of them by a path relative to the file."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "nli").symlink_to(mednli)
    file = tmp_path / "sources.toml"
    file.write_text(f'mednli = "data/nli"\npubmedqa = "{pubmedqa}"\n', "utf-8")
    return file


def test_sources_listed_go_to_whoever_reads_them(kit, listed, pubmedqa, tmp_path):
    nli, qa = sources_of(kit, Skill, ["nli", "qa"], [], listed)
    assert nli["mednli"] == tmp_path / "data" / "nli"
    assert qa == {"pubmedqa": pubmedqa}


def test_sources_given_path_takes_the_place_of_a_listed_one(kit, listed, tmp_path):
    [given] = sources_of(kit, Task, ["pubmedqa"], [f"pubmedqa={tmp_path}"], listed)
    assert given == {"pubmedqa": tmp_path}


def test_sources_task_that_reads_none_of_the_listed_is_left_without_data(kit, listed):
    with pytest.raises(BadInput, match="'icd-coding' needs its data"):
        sources_of(kit, Task, ["icd-coding"], [], listed)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mednli = ", "is not TOML"),
        ("[mednli]\npath = 'x'", "gives 'mednli' something else than a path"),
        ("mednli = 3", "gives 'mednli' something else than a path"),
        (None, "cannot be read from .*No such file"),
    ],
)
def test_sources_file_that_lists_no_sources_is_refused(tmp_path, text, message):
    file = tmp_path / "sources.toml"
    if text is not None:
        file.write_text(text, "utf-8")
    with pytest.raises(BadInput, match=message):
        listed_sources(file)


def test_train_all_means_the_skills_that_read_something_given(kit, listed):
    assert trainable(kit, ["mednli=x"], None) == [
        skill.name for skill, _ in kit.plugins.all(Skill) if "mednli" in skill.reads
    ]
    assert {"nli", "qa"} <= set(trainable(kit, [], listed))
    with pytest.raises(BadInput, match="No installed skill reads any of the given data sets"):
        trainable(kit, ["nowhere=x"], None)


def test_train_all_trains_them_and_what_is_trained_is_not_trained_again(listed, tmp_path, capsys):
    arguments = ["--store", str(tmp_path / "store"), "train", "--all", "--sources", str(listed), "--base", "tiny"]
    arguments += ["--set", "steps=4", "--set", "batch_size=4", "--trainer", "lora", "--json"]
    assert run(main, arguments) == 0
    first = json.loads(capsys.readouterr().out)
    assert {"nli", "qa"} <= {card["skill"] for card in first}
    stamps = {card["path"]: _stamp(card["path"]) for card in first}
    assert run(main, arguments) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == first
    assert {path: _stamp(path) for path in stamps} == stamps
    assert "is already trained" in printed.err
    assert run(main, [*arguments[:3], "nli", *arguments[4:], "--set", "learning_rate=0.01"]) == 0
    [again] = json.loads(capsys.readouterr().out)
    assert again["adapter"] not in {card["adapter"] for card in first}


def _stamp(path):
    from pathlib import Path

    return (Path(path) / "adapter_model.safetensors").stat().st_mtime_ns


@pytest.mark.parametrize("words", [[], ["nli", "--all"]])
def test_sources_skills_are_named_or_all_and_not_both(words, capsys):
    assert run(main, ["train", *words, "--base", "tiny"]) == 2
    assert "Name the skills to train, or give --all." in capsys.readouterr().err


def test_progress_of_work_within_work_has_one_display():
    progress = RichProgress()
    progress._console = Console(file=io.StringIO(), width=100, force_terminal=True)
    with progress.task("skills", 2) as outer:
        for name in ("nli", "qa"):
            outer.advance(0, now=name)
            with progress.task(f"training {name}", 3) as inner:
                inner.advance(3, loss="0.5")
            outer.advance()
    shown = progress._console.file.getvalue()
    assert all(text in shown for text in ("skills", "2/2", "training nli", "training qa", "3/3", "now qa"))
    with progress.task("again", 1) as bar:
        bar.advance()
    assert "1/1" in progress._console.file.getvalue()
