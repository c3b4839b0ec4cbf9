"""What is wrong is said before anything takes its time, and work that ends before its bar does says why."""

import re
import shutil
from contextlib import contextmanager

import pytest
from environments import ROOT
from mdkif import AdaptSettings, EvaluateSettings, Progress, Router, Toolkit, TrainSettings
from mdkif.cli import main
from mdkif.core.console.app import run
from mdkif.core.progress import Bar
from mdkif.testing import Bowl

UNLOADABLE = "There is no base model './unloadable'"


@pytest.fixture
def here(skilled, tmp_path, monkeypatch, mednli, pubmedqa):
    """A folder with data, and a store with trained skills and a composition of a base model that cannot be loaded."""
    Toolkit(skilled.store.root, str(skilled.base.path), dtype="float32").compose("half", {"nli": 0.5})
    for kind in ("skills", "compositions"):
        shutil.copytree(skilled.store.root / kind / "tiny", tmp_path / "store" / kind / "unloadable")
    (tmp_path / "nli").symlink_to(mednli)
    (tmp_path / "pub").symlink_to(pubmedqa)
    (tmp_path / "query.txt").write_text("Is it benign?")
    monkeypatch.chdir(tmp_path)
    return tmp_path


TRAIN, ADAPT = "train nli --source nli", "adapt pubmedqa --source pub"
EVALUATE = "evaluate pubmedqa --source pub"
EARLY = [
    (f"{TRAIN} --data subst=l", "has no option 'subst'"),
    (f"{TRAIN} --set stps=3", "no setting named 'stps'"),
    (f"{TRAIN} --split-policy officail", "split policy cannot be 'officail'"),
    (f"{ADAPT} --data subst=l", "has no option 'subst'"),
    (f"{ADAPT} --set gama=1", "no setting named 'gama'"),
    (f"{ADAPT} --skills nil", "no trained skill named 'nil'"),
    (f"{ADAPT} --objective acuracy", "objective cannot be 'acuracy'"),
    (f"{ADAPT} --split-policy officail", "split policy cannot be 'officail'"),
    (f"{ADAPT} --name ../x", "cannot be named '../x'"),
    ("adapt pubmedqa --source nowhere", "does not exist at nowhere"),
    (f"{EVALUATE} --with base --data subst=l", "has no option 'subst'"),
    (f"{EVALUATE} --with base --split-policy officail", "split policy cannot be 'officail'"),
    (f"{EVALUATE} --with hlaf", "no composition named 'hlaf'"),
    (f"{EVALUATE} --with skill:nil", "no trained skill named 'nil'"),
    ("evaluate pubmedqa --source nowhere --with base", "does not exist at nowhere"),
    ("predict query.txt --with hlaf", "no composition named 'hlaf'"),
    ("compose mine --skill nil=1", "no trained skill named 'nil'"),
    ("export hlaf out --to lora", "no composition named 'hlaf'"),
    ("export half out --to ggfu", "no export format 'ggfu'"),
]


@pytest.mark.parametrize(("line", "expected"), EARLY, ids=[line for line, _ in EARLY])
def test_early_failure_needs_no_model(here, capsys, line, expected):
    assert run(main, ["--store", "store", *line.split(), "--base", "./unloadable"]) == 2
    assert expected in capsys.readouterr().err


@pytest.mark.parametrize("line", [TRAIN, ADAPT, f"{EVALUATE} --with half", "predict query.txt --with half"])
def test_early_failure_ends_where_the_model_is_needed(here, capsys, line):
    """The lines above would say this if the model came first."""
    assert run(main, ["--store", "store", *line.split(), "--base", "./unloadable"]) == 2
    assert UNLOADABLE in capsys.readouterr().err


def test_max_length_has_one_name_in_every_verb_and_on_the_pages_that_teach(here):
    for verb in ("train", "adapt", "evaluate", "predict"):
        assert "--max-length" in {name for option in main.commands[verb].params for name in option.opts}, verb
    pages = [ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("docs/howto/*.md")]
    assert [page.name for page in pages if re.search(r"--set max.length|--tokens\b", page.read_text("utf-8"))] == []


def test_shots_beyond_what_there_is_are_said(skilled, pubmedqa, capsys):
    store, base = str(skilled.store.root), str(skilled.base.path)
    line = ["adapt", "pubmedqa", "--source", str(pubmedqa), "--router", "uniform", "--max-length", "200"]
    assert run(main, ["--store", store, *line, "--base", base, "--dtype", "float32", "--shots", "3000"]) == 0
    assert re.search("There are \\d+ '\\w+' records, and not 3000 shots: all of them are used", capsys.readouterr().err)
    assert run(main, ["--store", store, *line, "--base", base, "--dtype", "float32", "--shots", "2"]) == 0
    assert "shots" not in capsys.readouterr().err


@pytest.mark.parametrize(("rows", "why"), [("", "no row was found there"), ('{"id": 1}\n', "1 malformed: ")])
def test_convert_of_nothing_says_why_and_writes_nothing(tmp_path, capsys, rows, why):
    (tmp_path / "mli_train_v1.jsonl").write_text(rows)
    (tmp_path / "records.jsonl").write_text("older")
    arguments = ["convert", "mednli", str(tmp_path), "-o", str(tmp_path / "records.jsonl"), "--skip-bad"]
    assert run(main, arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"Error: There is no record of 'mednli' in {tmp_path}, and nothing was written: ")
    assert why in err
    assert (tmp_path / "records.jsonl").read_text() == "older"


# Bars


class Shown(Bar):
    def __init__(self, title, total, done):
        self.title, self.total, self.done, self.figures = title, total, done, {}

    def advance(self, by=1, /, **figures):
        self.done += by
        self.figures = figures or self.figures


class Watching(Progress):
    """Every bar that was shown, and how it ended."""

    def __init__(self):
        self.bars = []

    @contextmanager
    def task(self, title, total, done=0):
        self.bars.append(Shown(title, total, done))
        yield self.bars[-1]

    def ends_well(self):
        early = [bar for bar in self.bars if bar.done != bar.total]
        return self.bars != [] and all(bar.done < bar.total and bar.figures.get("stopped") for bar in early)


ROUTERS = ["cma-es", "gradient", "lorahub", "secant"]


@pytest.mark.parametrize("scale", ["one", "free", "signed"])
@pytest.mark.parametrize("name", ROUTERS)
def test_bar_of_a_router_ends_where_it_said_or_says_why(plugins, name, scale):
    """On a bowl whose best blend is a reference a search gains nothing, and may stop before its budget is spent."""
    for target in ([1.0, 0.0, 0.0], [0.2, 0.5, 0.3]):
        watching = Watching()
        settings = {} if name == "gradient" else {"evaluations": 36 if name == "cma-es" else 12}
        plugins.get(Router, name).load()(**settings).search(Bowl(target, scale=scale), 0, watching)
        assert watching.ends_well(), [(bar.done, bar.total, bar.figures) for bar in watching.bars]


@pytest.mark.parametrize("name", ["cma-es", "secant"])
def test_bar_of_a_search_that_gains_nothing_says_so(plugins, name):
    watching = Watching()
    plugins.get(Router, name).load()(patience=2).search(Bowl([1.0, 0.0, 0.0]), 0, watching)
    assert watching.bars[0].done < watching.bars[0].total
    assert watching.bars[0].figures["stopped"].startswith("no gain in 2 ")


@pytest.mark.parametrize("name", ["cma-es", "secant"])
def test_search_with_nothing_to_find_shows_no_bar(plugins, name):
    watching = Watching()
    plugins.get(Router, name).load()().search(Bowl([1.0]), 0, watching)
    assert watching.bars == []


def test_bars_of_every_stage_end_where_they_said(skilled, mednli, pubmedqa):
    watching = Watching()
    kit = Toolkit(skilled.store.root, str(skilled.base.path), dtype="float32", progress=watching)
    settings = TrainSettings(epochs=0.7, batch_size=4, max_length=200, records=10)
    kit.train("nli", {"mednli": mednli}, trainer="lora", settings=settings)
    questions, few = {"pubmedqa": pubmedqa}, AdaptSettings(shots=4, max_length=200)
    kit.adapt("pubmedqa", questions, router=kit.router("cma-es", evaluations=16), settings=few)
    kit.evaluate("pubmedqa", questions, ["base", "skill:nli"], settings=EvaluateSettings(limit=4, max_length=200))
    assert watching.ends_well(), [(bar.title, bar.done, bar.total) for bar in watching.bars]
    assert [bar.title.partition(" ")[0] for bar in watching.bars] == [
        "training", "references", "router:", "evaluating", "evaluating"]  # fmt: skip
