"""What plugins are told of the work: in order, truly and without record text; and what they cannot do to it."""

import json
import re
import subprocess
import sys
from importlib.metadata import EntryPoint, entry_points
from statistics import mean
from textwrap import dedent

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mdkif import AdaptSettings, EvaluateSettings, Progress, Run, Toolkit, TrainSettings
from mdkif.core.contract.discovery import Plugins
from mdkif.core.contract.events import Events
from mdkif_synthetic import generate

EVENTS = ("mdkif_run_began", "mdkif_stepped", "mdkif_evaluated", "mdkif_run_ended")
QUICK = TrainSettings(steps=4, batch_size=2, max_length=256, dev_records=4)

NOTING = """
from mdkif import hookimpl
told = []

@hookimpl
def mdkif_run_began(run):
    told.append(("began", run))

@hookimpl
def mdkif_stepped(run, step, figures):
    told.append(("stepped", run, step, dict(figures)))

@hookimpl
def mdkif_evaluated(run, target, metrics):
    told.append(("evaluated", run, target, dict(metrics)))

@hookimpl
def mdkif_run_ended(run, outcome):
    told.append(("ended", run, outcome))
"""


class Notes(Progress):
    """What is said to the user."""

    def __init__(self):
        self.said = []

    def note(self, text):
        self.said.append(text)


@pytest.fixture
def listening(tmp_path, monkeypatch):
    """A function that makes plugins of modules given as source, beside those installed; a module is returned too."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # rewritten within a second, a module would be the older one
    made = []

    def listening(beside=True, **sources):
        for name, source in sources.items():
            (tmp_path / f"listener_{name}.py").write_text(dedent(source), "utf-8")
            made.append(f"listener_{name}")
            sys.modules.pop(f"listener_{name}", None)
        own = [EntryPoint(name, f"listener_{name}", "mdkif") for name in sources]
        return Plugins([*(entry_points(group="mdkif") if beside else ()), *own])

    yield listening
    for name in made:
        sys.modules.pop(name, None)


def told_by(name):
    return sys.modules[f"listener_{name}"].told


# What is told


def test_events_training_tells_every_step_with_the_figures_of_its_card(listening, mednli, tmp_path):
    kit = Toolkit(tmp_path / "store", "tiny", plugins=listening(noting=NOTING), dtype="float32")
    made = kit.train("nli", {"mednli": mednli}, trainer="adalora", settings=QUICK)
    began, *middle, ended = told_by("noting")
    run = began[1]
    assert (run.stage, run.name, run.base) == ("train", "nli", "tiny")
    assert run.settings["steps"] == 4
    assert run.settings["target_rank"]  # the trainer's too
    assert re.fullmatch(r"train-nli-\d{8}-\d{6}-[0-9a-f]{6}", run.id)
    steps = [each for each in middle if each[0] == "stepped"]
    assert [step for _, _, step, _ in steps] == [1, 2, 3, 4]
    assert all(set(figures) == {"loss", "learning_rate", "rank"} for *_, figures in steps)
    assert mean(figures["loss"] for *_, figures in steps) == pytest.approx(made.card["metrics"]["train_loss"])
    measured = {target: metrics for kind, _, target, metrics in middle if kind == "evaluated"}
    card = made.card["metrics"]
    expected = {"base": {"dev_loss": card["dev_loss_before"]}, "skill:nli": {"dev_loss": card["dev_loss"]}}
    assert measured == expected
    assert ended == ("ended", run, "finished")
    assert all(each[1] is run for each in middle)
    told_by("noting").clear()
    kit.train("nli", {"mednli": mednli}, trainer="adalora", settings=QUICK)
    assert told_by("noting") == []  # nothing was done again


def test_events_adaptation_tells_references_and_evaluations(listening, skilled, pubmedqa):
    skilled.plugins = listening(noting=NOTING)
    kit = Toolkit(skilled.store.root, skilled.base_name, plugins=skilled.plugins, dtype="float32")
    kit.workspace.__dict__["base"] = skilled.base
    done = kit.adapt("pubmedqa", {"pubmedqa": pubmedqa}, router="gradient", settings=AdaptSettings(shots=4))
    began, *middle, ended = told_by("noting")
    assert (began[1].stage, began[1].name, ended[2]) == ("adapt", "pubmedqa", "finished")
    assert began[1].settings["shots"] == 4
    measured = {target: metrics["objective"] for kind, _, target, metrics in middle if kind == "evaluated"}
    assert measured == {**done.references, done.composition.name: done.end}
    steps = [each for each in middle if each[0] == "stepped"]
    assert [step for _, _, step, _ in steps] == list(range(1, len(steps) + 1))
    assert min(figures["objective"] for *_, figures in steps) == pytest.approx(done.end, rel=1e-4)
    assert steps[-1][3]["evaluations"] <= done.evaluations


def test_events_evaluation_tells_the_metrics_it_reports(listening, skilled, pubmedqa):
    skilled.plugins = listening(noting=NOTING)
    kit = Toolkit(skilled.store.root, skilled.base_name, plugins=skilled.plugins, dtype="float32")
    kit.workspace.__dict__["base"] = skilled.base
    asked = EvaluateSettings(limit=4)
    base, skill = kit.evaluate("pubmedqa", {"pubmedqa": pubmedqa}, ["base", "skill:nli"], settings=asked)
    began, *middle, ended = told_by("noting")
    assert (began[1].stage, began[1].settings["limit"], ended[2]) == ("evaluate", 4, "finished")
    assert [(kind, target, metrics) for kind, _, target, metrics in middle] == [
        ("evaluated", "base", base.metrics),
        ("evaluated", "skill:nli", skill.metrics),
    ]


def test_events_no_event_holds_text_of_a_record(listening, tmp_path):
    """Every long word that stands in the data sets; those that mdkif itself says are a few."""
    generate(tmp_path / "hospital", seed=0, patients=60)
    mednli, pubmedqa = tmp_path / "hospital/MedNLI", tmp_path / "hospital/PubMedQA"
    kit = Toolkit(tmp_path / "store", "tiny", plugins=listening(noting=NOTING), dtype="float32")
    kit.train("nli", {"mednli": mednli}, trainer="lora", settings=QUICK)
    kit.adapt("pubmedqa", {"pubmedqa": pubmedqa}, router="uniform", settings=AdaptSettings(shots=2))
    kit.evaluate("pubmedqa", {"pubmedqa": pubmedqa}, ["skill:nli"], settings=EvaluateSettings(limit=2))
    shown = " ".join(map(repr, told_by("noting"))).lower()
    files = [path.read_text("utf-8") for root in (mednli, pubmedqa) for path in root.rglob("*.json*")]
    words = set(re.findall(r"[a-z]{8,}", " ".join(files).lower()))
    assert len(words) > 100
    assert {word for word in words if re.search(rf"\b{word}\b", shown)} == set()
    assert {each[1].stage for each in told_by("noting")} == {"train", "adapt", "evaluate"}


def test_events_interrupted_training_goes_on_with_the_step_it_had_reached(listening, mednli, tmp_path):
    """Ctrl-C is the user's, wherever it strikes."""
    stopping = NOTING.replace(
        "dict(figures)))", "dict(figures)))\n    if step == 3 and len(told) < 5: raise KeyboardInterrupt"
    )
    kit = Toolkit(tmp_path / "store", "tiny", plugins=listening(noting=stopping), dtype="float32")
    often = TrainSettings(steps=4, batch_size=2, max_length=256, dev_records=4, checkpoint_every=2)
    with pytest.raises(KeyboardInterrupt):
        kit.train("nli", {"mednli": mednli}, trainer="lora", settings=often)
    assert told_by("noting")[-1][2] == "interrupted"
    first = told_by("noting")[0][1]
    kit.train("nli", {"mednli": mednli}, trainer="lora", settings=often)
    again = [each for each in told_by("noting") if each[1] is not first]
    assert [each[2] for each in again if each[0] == "stepped"] == [3, 4]
    assert again[-1][2] == "finished"


@pytest.mark.parametrize(
    ("error", "outcome"), [(KeyboardInterrupt, "interrupted"), (RuntimeError, "failed"), (SystemExit, "failed")]
)
def test_events_run_that_breaks_off_ends_for_its_listeners_too(listening, error, outcome):
    events = Events(listening(beside=False, noting=NOTING), Progress())
    with pytest.raises(error), events.run("train", "nli", "tiny", {}):
        raise error
    assert [each[0] for each in told_by("noting")] == ["began", "ended"]
    assert told_by("noting")[-1][2] == outcome


# What listeners cannot do


@pytest.fixture(scope="module")
def alone(tmp_path_factory, mednli):
    """The hash of an adapter that was trained without listeners."""
    return trained_hash(Toolkit(tmp_path_factory.mktemp("alone"), "tiny", dtype="float32"), mednli)


def trained_hash(kit, mednli):
    return kit.train("nli", {"mednli": mednli}, trainer="lora", settings=QUICK).version


HEAD = "from mdkif import hookimpl\nimport random, sys\ncalls = []\n"
ARGUMENTS = {"mdkif_stepped": "run, step, figures", "mdkif_evaluated": "run, target, metrics"}
HARMFUL = {
    "raises": "raise ValueError('the disk of the tracker is full')",
    "exits": "sys.exit(3)",
    "changes what it is given": "(figures if 'figures' in dir() else run.settings)['seed'] = 1",
    "changes the run": "run.name = 'other'",
}


@pytest.mark.parametrize("harm", HARMFUL.values(), ids=HARMFUL)
@pytest.mark.parametrize("hook", EVENTS)
def test_events_listener_that_fails_is_reported_once_and_cut_off_and_the_result_is_the_same(
    listening, tmp_path, mednli, alone, hook, harm
):
    given = ARGUMENTS.get(hook, "run")
    bad = f"{HEAD}@hookimpl\ndef {hook}({given}):\n    calls.append(1)\n    {harm}\n"
    plugins, notes = listening(bad=bad, noting=NOTING), Notes()
    kit = Toolkit(tmp_path / "store", "tiny", plugins=plugins, progress=notes, dtype="float32")
    assert trained_hash(kit, mednli) == alone
    assert sys.modules["listener_bad"].calls == [1]
    [said] = [text for text in notes.said if "bad" in text]
    assert said.startswith(f"bad failed in {hook} (")
    assert re.search(
        rf"is told nothing more: mend .*listener_bad\.py:{bad.count(chr(10))}, or 'mdkif uninstall bad'\.$", said
    )
    assert [each[0] for each in told_by("noting")].count("stepped") == 4
    assert told_by("noting")[-1][2] == "finished"
    assert next(p for p in plugins.plugins if p.dist == "bad").listens == []


DRAWING = f"""
import random
import numpy, torch
{NOTING}
def draw():
    random.random(), numpy.random.rand(), torch.rand(3)
    print("noise")
""".replace("    told.append", "    draw()\n    told.append")


def test_events_listener_that_draws_and_prints_changes_neither_result_nor_output(
    listening, tmp_path, mednli, alone, capsys
):
    kit = Toolkit(tmp_path / "store", "tiny", plugins=listening(drawing=DRAWING), dtype="float32")
    assert trained_hash(kit, mednli) == alone
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("noise") == len(told_by("drawing")) == 8


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(steps=st.integers(0, 6), fails_at=st.integers(0, 9))
def test_events_others_hear_everything_whenever_one_fails(listening, steps, fails_at):
    failing = NOTING.replace("told.append(", f"if len(told) == {fails_at}: raise OSError('full')\n    told.append(")
    plugins, notes = listening(beside=False, before=NOTING, failing=failing, zafter=NOTING), Notes()
    with Events(plugins, notes).run("adapt", "mednli", "tiny", {}) as told:
        for step in range(1, steps + 1):
            told.step(step, objective=1 / step)
        told.evaluated("base", {"accuracy": 0.5})
    whole = ["began", *["stepped"] * steps, "evaluated", "ended"]
    assert [each[0] for each in told_by("before")] == whole
    assert [each[0] for each in told_by("zafter")] == whole
    assert [each[0] for each in told_by("failing")] == whole[:fails_at]
    assert len(notes.said) == (fails_at < len(whole))


# What a listener is


def test_events_listeners_are_called_in_the_order_they_ask_for(listening):
    source = "from mdkif import hookimpl\nimport listener_order as order\n@hookimpl{}\ndef mdkif_run_began():\n    "
    source += "order.told.append(__name__)\n"
    first, last = source.format("(tryfirst=True)"), source.format("(trylast=True)")
    plugins = listening(beside=False, order="told = []", a=last, b=source.format(""), c=first)
    assert [p.dist for p in plugins.plugins if p.error] == ["order"]
    Events(plugins, Progress()).tell("mdkif_run_began", run=None)
    assert told_by("order") == ["listener_c", "listener_b", "listener_a"]


REFUSED = {
    "an argument there is not": ("mdkif_stepped(run, loss)", "", "takes arguments that it is not given (loss)"),
    "any arguments": ("mdkif_stepped(**figures)", "", "takes arguments that it is not given"),
    "a default, which pluggy never replaces": ("mdkif_stepped(run, step=0)", "", "not given (step)"),
    "a wrapper": ("mdkif_stepped(step)", "(wrapper=True)", "is a wrapper"),
    "an older wrapper": ("mdkif_stepped(step)", "(hookwrapper=True)", "is a wrapper"),
    "a name there is not": ("mdkif_step(step)", "", "mdkif_step, which does not exist"),
}


@pytest.mark.parametrize(("head", "options", "reason"), REFUSED.values(), ids=REFUSED)
def test_events_hook_that_could_never_be_called_is_refused_with_what_to_write(listening, head, options, reason):
    plugins = listening(beside=False, bad=f"from mdkif import hookimpl\n@hookimpl{options}\ndef {head}:\n    yield\n")
    [bad] = plugins.plugins
    assert reason in bad.error
    assert "mdkif_stepped" in bad.remedy
    assert plugins.listeners("mdkif_stepped") == []


def test_events_unmarked_listener_is_told_what_to_put_above_it(listening):
    [bad] = listening(beside=False, bad="def mdkif_run_ended(run):\n    pass\n").plugins
    assert bad.remedy == "put @hookimpl above 'def mdkif_run_ended(run, outcome)'"


def test_events_plugin_that_is_left_out_hears_nothing(listening):
    declaring = NOTING + "\n@hookimpl\ndef mdkif_tasks():\n    return [1]\n"
    plugins = listening(beside=False, bad=declaring)
    assert plugins.plugins[0].error
    Events(plugins, Progress()).tell("mdkif_run_began", run=None)
    assert told_by("bad") == []


def test_events_plugin_of_listeners_alone_is_shown_with_what_it_listens_to(listening):
    [plugin] = listening(beside=False, noting=NOTING).plugins
    assert (plugin.error, plugin.provides) == (None, [])
    assert sorted(plugin.listens) == sorted(EVENTS)


def test_events_run_cannot_be_changed():
    run = Run(id="x", stage="train", name="nli", base="tiny", settings={})
    with pytest.raises(AttributeError):
        run.name = "other"


# The command line


@pytest.fixture
def mdkif(tmp_path):
    """A function that runs the program with one listener and few others installed: exit code, stdout and stderr."""
    (tmp_path / "listener_cli.py").write_text(NOTING.replace("told.append", "print"))
    info = tmp_path / "mdkif_listener-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: mdkif-listener\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[mdkif]\nlistener = listener_cli\n")

    def call(*arguments):
        import os

        chosen = "mdkif-listener,mdkif-skill-nli,mdkif-dataset-mednli,mdkif-trainer-lora,mdkif-model-tiny"
        environment = os.environ | {"PYTHONPATH": str(tmp_path), "MDKIF_PLUGINS": chosen}
        line = [sys.executable, "-m", "mdkif", "--store", str(tmp_path / "store"), *arguments]
        done = subprocess.run(line, capture_output=True, text=True, env=environment, check=False, cwd=tmp_path)
        return done.returncode, done.stdout, done.stderr

    return call


def test_events_plugins_are_shown_with_what_they_listen_to(mdkif):
    code, out, _ = mdkif("plugins", "--json")
    assert code == 0
    found = {row["dist"]: row for row in json.loads(out)}
    assert sorted(found["mdkif-listener"]["listens"]) == sorted(EVENTS)
    assert found["mdkif-skill-nli"]["listens"] == []
    assert "listens to mdkif_stepped" in " ".join(mdkif("plugins")[1].split()), "in however many lines"


def test_events_debug_shows_every_call_of_a_hook_and_whose_it_is(mdkif, mednli):
    code, out, err = mdkif("--debug", "list", "skills", "--json")
    assert code == 0
    assert [row["name"] for row in json.loads(out)] == ["nli"]
    assert re.search(r"^mdkif-skill-nli:nli: mdkif_skills\(\)$", err, re.MULTILINE)
    assert "mdkif_skills" not in mdkif("list", "skills")[2]
    train = ["train", "nli", "--source", str(mednli), "--base", "tiny", "--trainer", "lora", "--json"]
    code, out, err = mdkif("--debug", *train, "--set", "steps=1", "--set", "batch-size=2")
    assert code == 0
    assert json.loads(out)[0]["skill"] == "nli"  # what the listener prints is not there
    assert re.search(r"^mdkif-listener:listener: mdkif_stepped\(run=train-nli-\S+, step=1, figures={'loss'", err, re.M)
