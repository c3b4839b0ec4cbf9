"""Conformance: each rule finds what breaks it and says what to do, and nothing stops the check of the others."""

import importlib
import json
import sys
from itertools import islice

import pytest
from breakages import BREAKAGES, PLUGINS, Breakage, install
from mdkif import BadInput, Dataset, Evaluator, Skill, Task, Toolkit
from mdkif.core.conformance import evaluators
from mdkif.core.conformance.check import check, rules
from mdkif.core.contract.discovery import Plugin, Plugins
from mdkif.core.inspection import samples
from mdkif.testing import run
from mdkif_synthetic import generate

SUBJECTS = {rule: subject for subject, names in rules().items() for rule in names}


@pytest.fixture(scope="module")
def hospital(tmp_path_factory):
    """Synthetic data sets in their official layouts, by name."""
    return generate(tmp_path_factory.mktemp("conformance") / "hospital", seed=3, patients=60)


@pytest.fixture(scope="module")
def kit(tmp_path_factory):
    return Toolkit(tmp_path_factory.mktemp("conformance-store"))


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of packages on the path, with nothing in it."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("MDKIF_STORE", str(tmp_path / "store"))
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        if name.startswith("case_"):
            del sys.modules[name]
    importlib.invalidate_caches()


def found_in(dist, rule=""):
    """What the kit finds in an installed distribution, up to the rule where one is named."""
    for each in Toolkit().check(dist):
        yield each
        if each.rule == rule and each.state == "broken":
            return


@pytest.mark.parametrize(
    "dist",
    sorted(p.dist for p in Plugins().plugins if any(isinstance(d, (Dataset, Skill, Task)) for d in p.declarations)),
)
def test_plugin_that_reads_data_keeps_every_rule_on_the_hospital_too(kit, hospital, dist):
    """On more than its sample; that each plugin keeps the rules at all is the first of its own tests."""
    found = list(check(kit.workspace, dist, hospital))
    assert len(found) >= 4
    assert [f"{each.subject}: {each.rule}: {each.remedy}" for each in found if each.state != "kept"] == []


def test_every_rule_has_a_breakage_and_every_breakage_a_rule():
    known = {(subject, rule) for subject, names in rules().items() for rule in names}
    assert {(each.of, each.rule) for each in BREAKAGES} == known


@pytest.mark.parametrize("plugin", PLUGINS)
def test_sound_plugin_keeps_every_rule(site, plugin):
    found = list(found_in(install(site, f"case_sound_{plugin}", plugin)))
    assert [f"{each.subject}: {each.rule}: {each.remedy}" for each in found if each.state != "kept"] == []
    assert {each.rule for each in found} <= set(SUBJECTS)


@pytest.mark.parametrize("number", range(len(BREAKAGES)), ids=lambda n: f"{BREAKAGES[n].rule}: {BREAKAGES[n].what}")
def test_breakage_is_found_with_its_remedy(site, number):
    broken: Breakage = BREAKAGES[number]
    found = list(found_in(install(site, f"case_broken_{number}", broken), broken.rule))
    [told] = {each.remedy for each in found if each.rule == broken.rule and each.state == "broken"}
    assert broken.remedy in told
    assert {each.rule for each in found} <= set(SUBJECTS)


def test_kit_never_quotes_a_record(site):
    for number, broken in enumerate(BREAKAGES):
        if broken.plugin in ("notes", "drugs", "summaries"):
            found = found_in(install(site, f"case_quoting_{number}", broken))
            told = " ".join(each.remedy for each in found if each.state != "kept").lower()
            assert not [word for word in ("chest", "cough", "insulin", "aspirin", "wound") if word in told]


def test_one_bad_plugin_does_not_stop_the_check_of_the_others(site, capsys, monkeypatch):
    raising = next(each for each in BREAKAGES if "KeyError" in each.what)
    breaking = next(each for each in BREAKAGES if each.rule == "is checked to the end")
    dists = [install(site, f"case_{n}", what) for n, what in enumerate((raising, breaking, "evaluator"))]
    for n in range(3):
        path = site / f"case_{n}" / "__init__.py"
        path.write_text(path.read_text().replace('"case"', f'"case-{n}"'))
        if n < 2:
            (site / f"case_{n}" / "sample" / "case").rename(site / f"case_{n}" / "sample" / f"case-{n}")
    monkeypatch.setenv("MDKIF_PLUGINS", ",".join([*dists, "mdkif-evaluator-classification"]))
    assert run("check", "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert {(each["subject"], each["rule"]) for each in found if each["state"] == "broken"} == {
        ("dataset case-0", "converts a sample"),
        ("task case-0 on case-0", "converts a sample"),
        ("dataset case-1", "is checked to the end"),
        ("task case-1", "is checked to the end"),
    }
    assert sum(each["subject"] == "evaluator case-2" for each in found) == 6


def test_every_record_is_read_and_counted(site, capsys):
    """A group in two splits, three thousand records apart."""
    dist = install(site, "case_many", "notes")
    rows = [f"{number}\tNote of the number {number}.\t{('now', 'later')[number % 2]}\n" for number in range(3001)]
    large = site / "large"
    large.mkdir()
    (large / "notes.tsv").write_text("".join(rows))
    assert run("check", dist, "--source", f"case={large}") == 0
    assert "Records read: 6,002." in capsys.readouterr().out
    path = site / "case_many" / "__init__.py"
    late = "split='dev' if number == 3001 else 'train', group=patient if number < 3001 else '0',"
    path.write_text(path.read_text().replace("group=patient,", late))
    del sys.modules["case_many"]
    assert run("check", "case", "--source", f"case={large}", "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert {each["rule"] for each in found if each["state"] == "broken"} == {"no group straddles splits"}
    assert {each["records"] for each in found if "group" in each["rule"]} == {3001}


def test_number_of_records_that_break_a_rule_is_told(site):
    shared = Breakage("records are complete and traceable", "", "notes", {'f"notes.tsv:{number}"': '""'}, "")
    found = {each.rule: each.remedy for each in found_in(install(site, "case_shared", shared))}
    assert found[shared.rule].endswith("(8 of 8 records)")


def test_sample_in_the_package_is_found(site):
    (site / "sampled" / "sample" / "mine").mkdir(parents=True)
    (site / "sampled" / "__init__.py").write_text("")
    plugin = Plugin("mdkif-sampled", "1", "sampled")
    assert samples.sample(plugin, "mine", {}) == site / "sampled" / "sample" / "mine"
    assert samples.sample(plugin, "other", {}) is None
    assert samples.sample(plugin, "mine", {"mine": site}) == site


def test_rules_that_need_a_sample_are_not_checked_without_one_and_the_remedy_is_told(site):
    dist = install(site, "case_bare", "notes")
    (site / "case_bare" / "sample" / "case" / "notes.tsv").unlink()
    (site / "case_bare" / "sample" / "case").rmdir()
    told = {each.subject: each.remedy for each in found_in(dist) if each.state == "not checked"}
    remedy = "There is no sample of it: give --source case=PATH, or ship an invented one in the folder sample/case."
    assert told == {"dataset case": remedy, "task case": remedy}


def test_evaluator_may_refuse_what_is_not_its_work(monkeypatch):
    def refuse(predictions):
        if predictions:
            raise BadInput("not mine")
        return {}

    monkeypatch.setattr(Evaluator, "load", lambda self: refuse)
    declared = Evaluator(name="mine", title="Mine", target="a:b", metrics={"right": True})
    broken = [each for each in evaluators.evaluator(declared, "e") if each.state == "broken"]
    assert [(each.rule, each.remedy) for each in broken] == [
        ("no predictions have no metrics", 'Without predictions it must return {"n": 0}.')
    ]


def test_kit_says_what_it_does_while_it_goes_on(kit):
    """Findings come one by one: the first is there before the last rule is checked."""
    [first] = islice(check(kit.workspace, "mdkif-trainer-adalora"), 1)
    assert (first.subject, first.rule) == ("mdkif-trainer-adalora", "loads")


def test_command_line_tells_what_is_broken_and_exits_with_1(tmp_path, capsys, monkeypatch, mednli):
    monkeypatch.setenv("MDKIF_STORE", str(tmp_path))
    assert run("check", "mdkif-evaluator-classification") == 0
    assert capsys.readouterr().out.endswith("Rules: 11 kept, 0 broken, 0 not checked.\n")
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "nli.jinja").write_text("{% block query %}{{ spam }}{% endblock %}")
    assert run("check", "mdkif-skill-nli", "--source", f"mednli={mednli}", "--json") == 1
    rows = json.loads(capsys.readouterr().out)
    assert {row["state"] for row in rows} == {"kept", "broken"}
    assert run("check", "mdkif-skill-nil") == 2
    assert "mdkif-skill-nli" in capsys.readouterr().err


def test_source_is_what_the_help_says(capsys, mednli):
    assert run("check", "nli", "--source", mednli) == 0
    assert run("check", "mdkif-dataset-mednli", "--source", mednli) == 0
    told = capsys.readouterr().out
    assert "Records read: " in told
    assert run("check", "--source", mednli) == 2
    assert "name it, as in --source DATASET=" in capsys.readouterr().err
    assert run("check", "nli", "--source", f"mednil={mednli}") == 2
    assert "did you mean 'mednli'?" in capsys.readouterr().err
