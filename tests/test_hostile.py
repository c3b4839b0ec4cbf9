"""Hostile neighbours: real distributions on the path, each broken in its own way, beside every working plugin.

The modules are in the folder `hostile`. Each gets the metadata that pip would write, and `mdkif` runs as a process
of its own.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mdkif.core.contract import explanation as contract
from mdkif.core.contract import validation

HOSTILE = Path(__file__).parent / "hostile"
MDKIF = Path(sys.executable).with_name("mdkif")

BROKEN = {
    "raises-at-import": (r"^RuntimeError: \?\[31mout of order for good$", r"mend \S+raises_at_import\.py:3, or"),
    "exits-at-import": ("^SystemExit: 0$", r"mend \S+exits_at_import\.py:6, or 'mdkif uninstall hostile-exits"),
    "needs-something": ("No module named 'no_such_package'", "install 'no_such_package', or reinstall"),
    "not-there": ("No module named 'not_there'", "^reinstall hostile-not-there, or "),
    "syntax-error": ("^SyntaxError: ", r"mend \S+syntax_error\.py:1"),
    "wrong-signature": (r"mdkif_skills takes arguments .* \(manager, config\)", r"^write 'def mdkif_skills\(\):'$"),
    "misspelt-hook": ("the hook mdkif_skils, which does not exist", r"^did you mean 'mdkif_skills'\?$"),
    "unmarked-hook": ("mdkif_tasks is not marked", r"^put @hookimpl above 'def mdkif_tasks\(\)'$"),
    "no-hook": ("^it implements no hook$", "put @hookimpl above one of mdkif_skills, "),
    "takes-a-name": ("the skill 'good' is already provided by hostile-good 0.1", "^rename it or uninstall"),
    "raising-hook": ("^KeyError: 'nothing'$", r"mend \S+raising_hook\.py:8"),
    "shadows-train": ("^'train' is a core command and cannot be replaced$", "^rename the command$"),
    "giant-title": ("evaluator 'giant' has 5,000,000 characters, and 200 are the most", "^shorten it$"),
    "countless-declarations": ("mdkif_evaluators declares more than 1,000 things", "declare fewer"),
    "countless-entries": ("100,000 entry points in the group 'mdkif', and 100 are the most", "its modules only"),
    "escapes-in-title": ("the title of the evaluator 'clearing' is no line of text", "without control characters"),
    "older-hook": ("the hook mdkif_knowledge_experts, which does not exist$", "use the public names: mdkif_"),
    "misspelt-field": ("it gives Evaluator the field 'titel', which does not exist", r"^did you mean 'title'\?$"),
    "missing-fields": ("its Trainer lacks 'title' and 'target'", "^write 'title' and 'target' too"),
    "one-source-alone": ("the sources of the skill 'alone' are no tuple", r"sources=\(Source\(dataset='mednli'\),\)"),
}  # fmt: skip
WORKING = ("good", "slow-import", "malicious-templates", "giant-metadata")
TEMPLATES = ("escape", "attribute", "endless", "etc-passwd", "climb", "recursion")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder as pip leaves it: the modules, and beside each the metadata of its distribution."""
    site = tmp_path_factory.mktemp("hostile") / "site"
    shutil.copytree(HOSTILE, site)
    (site / "syntax_error.py").write_text("def")
    (site / "no_hook.py").write_text("skills = []\n")
    (site / "giant_metadata.py").write_text(
        (site / "slow_import.py").read_text().replace("slow", "big").replace("1.2", "0")
    )
    for name in {*BROKEN, *WORKING}:
        module = name.replace("-", "_")
        info = site / f"hostile_{module}-0.1.dist-info"
        info.mkdir()
        summary = "s" * 5_000_000 if name == "giant-metadata" else "A neighbour"
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nSummary: {summary}\nName: hostile-{name}\nVersion: 0.1\n"
        )
        lines = [f"{module}{i} = {module}" for i in range(100_000 if name == "countless-entries" else 1)]
        (info / "entry_points.txt").write_text("[mdkif]\n" + "\n".join(lines) + "\n")
    return site


@pytest.fixture
def mdkif(site, tmp_path):
    """A function that runs one command line as a process of its own, beside all of them."""

    def call(*arguments, **variables):
        environment = os.environ | {
            "PYTHONPATH": str(site), "COLUMNS": "80", "MDKIF_STORE": str(tmp_path / "store"), "MDKIF_BASE": "tiny",
        } | variables  # fmt: skip
        done = subprocess.run(
            [MDKIF, *map(str, arguments)], env=environment, capture_output=True, text=True, check=False, timeout=300
        )
        assert "Traceback" not in done.stderr
        assert "\x1b" not in done.stdout + done.stderr
        return done

    return call


@pytest.fixture(scope="module")
def reported(site):
    """What `mdkif plugins --json` tells of each distribution."""
    environment = os.environ | {"PYTHONPATH": str(site)}
    done = subprocess.run([MDKIF, "plugins", "--json"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {row["dist"]: row for row in json.loads(done.stdout)}


@pytest.mark.parametrize("name", BROKEN)
def test_hostile_plugin_is_listed_with_its_reason_and_its_remedy(reported, name):
    row = reported[f"hostile-{name}"]
    reason, remedy = BROKEN[name]
    assert re.search(reason, row["error"])
    assert re.search(remedy, row["remedy"])
    assert row["provides"] == []
    assert len(row["error"] + row["remedy"]) < 700
    assert (row["error"] + row["remedy"]).isprintable()


def test_hostile_plugins_leave_every_other_working(reported):
    failed = {dist for dist, row in reported.items() if row["error"]}
    assert failed == {f"hostile-{name}" for name in BROKEN}
    assert reported["hostile-good"]["provides"] == ["skill good"]
    assert reported["hostile-giant-metadata"]["version"] == "0.1"
    assert reported["mdkif-skill-nli"]["provides"] == ["skill nli"]


def test_hostile_table_of_plugins_reads_well(mdkif, reported):
    done = mdkif("plugins")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    for dist in reported:
        assert any(line.startswith(f"{dist} ") for line in lines), dist
    assert done.stdout.count("FAILED: ") == done.stdout.count("Remedy: ") == len(BROKEN)


def test_hostile_list_stays_readable_and_says_where_to_look(mdkif):
    done = mdkif("list")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) < 200
    assert re.search(r"^skill +good +A skill like any other", done.stdout, re.MULTILINE)
    assert "giant" not in done.stdout
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"{len(BROKEN)} plugin(s) could not be used: hostile-")
    assert last.endswith("…; 'mdkif plugins' says why.")
    assert len(last) < 200


def test_hostile_json_is_one_document_whatever_a_neighbour_prints(mdkif):
    done = mdkif("list", "skills", "--json")
    assert done.returncode == 0
    titles = {row["name"]: row["title"] for row in json.loads(done.stdout)}
    assert titles["good"] == "A skill like any other"
    assert "this must not be seen" in done.stderr


def test_hostile_doctor_names_each_with_a_remedy(mdkif):
    done = mdkif("doctor", "--json")
    assert done.returncode == 1
    wrong = {line["what"]: line for line in json.loads(done.stdout) if not line["ok"]}
    assert {f"hostile-{name}" for name in BROKEN} <= set(wrong)
    assert all(line["remedy"] for line in wrong.values())
    slow = wrong["hostile-slow-import"]
    assert re.fullmatch(r"took \d\.\d s to load", slow["found"])
    assert "inside functions" in slow["remedy"]


def test_hostile_command_is_the_cores_own(mdkif):
    done = mdkif("train", "--help")
    assert done.returncode == 0
    assert "Stage I" in done.stdout
    assert "Not what you think" not in mdkif("--help").stdout


def test_hostile_good_skill_is_shown_and_trained_beside_them(mdkif, mednli):
    assert mdkif("show", "good").stdout.startswith("kind: skill\nname: good\n")
    settings = ("--trainer", "lora", "--set", "steps=2", "--set", "batch-size=2", "--set", "max-length=256")
    done = mdkif("train", "good", "--source", f"mednli={mednli}", *settings, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["skill"] == "good"


@pytest.mark.parametrize("name", TEMPLATES)
def test_hostile_malicious_template_is_one_sentence(mdkif, mednli, name):
    done = mdkif("preview", f"evil-{name}", f"mednli={mednli}")
    assert (done.returncode, done.stdout) == (2, "")
    last = done.stderr.splitlines()[-1]
    assert last.startswith("Error: The template ")
    assert "root:" not in last


@pytest.mark.parametrize("written", [b"[mdkif]\nx = good\xff\xfe\n", b"[mdkif]\nno value\n"])
def test_hostile_entry_points_that_cannot_be_read_are_reported(mdkif, tmp_path, written):
    """One such file stops `importlib.metadata.entry_points`, and so every other plugin."""
    info = tmp_path / "hostile_unreadable-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hostile-unreadable\nVersion: 0.1\n")
    (info / "entry_points.txt").write_bytes(written)
    done = mdkif("plugins", "--json", PYTHONPATH=str(tmp_path))
    assert done.returncode == 0, done.stderr
    rows = {row["dist"]: row for row in json.loads(done.stdout)}
    assert {dist for dist, row in rows.items() if row["error"]} == {"hostile-unreadable"}
    assert re.fullmatch("its entry point '.+' cannot be read", rows["hostile-unreadable"]["error"])
    assert rows["hostile-unreadable"]["remedy"] == "reinstall it, or write 'name = module'"
    assert rows["mdkif-skill-nli"]["provides"] == ["skill nli"]


def test_hostile_names_are_completed_beside_them(mdkif):
    done = mdkif(_MDKIF_COMPLETE="bash_complete", COMP_WORDS="mdkif show goo", COMP_CWORD="2")
    assert done.stdout == "plain,good\n"


def test_hostile_entry_points_are_those_that_pip_wrote():
    """`importlib.metadata` is the reference, for groups of every kind that is installed here."""
    from importlib.metadata import entry_points

    from mdkif.core.contract.distributions import installed, named

    for group in ("mdkif", "console_scripts", "pytest11", "no.such.group"):
        expected = sorted(
            (e.dist.name, e.dist.version, e.name, e.value) for e in entry_points(group=group) if e.dist is not None
        )
        assert sorted((*named(e.dist), e.name, e.value) for e in installed(group)) == expected
    [here] = [each for each in installed("pytest11") if each.name == "hypothesispytest"]
    assert here.load().__name__ == "_hypothesis_pytestplugin"


def test_hostile_first_of_two_on_the_path_counts(tmp_path, monkeypatch):
    from mdkif.core.contract.distributions import installed, named

    for version in ("2.0", "1.0"):
        info = tmp_path / version / f"Some_Plugin-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: some-plugin\nVersion: {version}\n\nVersion: 3\n")
        (info / "entry_points.txt").write_text(
            "[other]\na = b\n[some]\n# none\nx = json : dumps [extra]\n\n[more]\nc = d\n"
        )
        monkeypatch.syspath_prepend(tmp_path / version)
    [found] = installed("some")
    assert (*named(found.dist), found.name) == ("some-plugin", "1.0", "x")
    assert found.load() is json.dumps


# An older contract


@pytest.fixture
def written(tmp_path, monkeypatch):
    """A function that loads one module as a plugin, and tells why it is not used and the remedy."""
    from importlib.metadata import EntryPoint

    from mdkif.core.contract.discovery import Plugins

    monkeypatch.syspath_prepend(tmp_path)

    def written(name, source):
        (tmp_path / f"{name}.py").write_text(f"from mdkif import *\nfrom mdkif import hookimpl\n{source}")
        [plugin] = Plugins([EntryPoint(name, name, "mdkif")]).plugins
        sys.modules.pop(name, None)
        return plugin.error, plugin.remedy

    return written


def test_contract_of_an_older_plugin_is_told_what_changed(site, monkeypatch, capsys):
    from mdkif.cli import main
    from mdkif.core.console.app import run

    monkeypatch.setitem(contract.CHANGED, "mdkif_knowledge_experts", "it was renamed: write mdkif_skills")
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("MDKIF_PLUGINS", "hostile-older-hook,hostile-good")
    assert run(main, ["plugins", "--json"]) == 0
    good, old = json.loads(capsys.readouterr().out)
    assert (good["dist"], good["error"]) == ("hostile-good", None)
    assert old["error"] == "it implements the hook mdkif_knowledge_experts, which an older mdkif had"
    assert old["remedy"] == "it was renamed: write mdkif_skills"


def test_contract_field_of_an_older_one_is_told_what_became_of_it(written, monkeypatch):
    monkeypatch.setitem(contract.CHANGED, "higher_is_better", "'metrics' says it for each metric since 0.2")
    declared = "Evaluator(name='x', title='x', target='json:dumps', higher_is_better=True)"
    error, remedy = written("old_field", f"@hookimpl\ndef mdkif_evaluators():\n    return [{declared}]\n")
    assert error == "it gives Evaluator the field 'higher_is_better', which an older mdkif had"
    assert remedy == "'metrics' says it for each metric since 0.2"


def test_contract_names_that_changed_are_gone():
    """Or a plugin that is right would be told that it is wrong."""
    import mdkif

    assert not set(contract.CHANGED) & ({*mdkif.__all__} | {*validation.HOOKS.values()})


@pytest.mark.parametrize(
    ("source", "reason", "remedy"),
    [
        ("from mdkif import Skil", "it imports 'Skil' from mdkif, which does not exist", "did you mean 'Skill'?"),
        ("Source('mednli')", "its Source has arguments without names", "write every field as name=value"),
        ("from mdkif.core.nowhere import x", "No module named 'mdkif.core.nowhere'", "reinstall"),
        ("raise BadInput('The table is missing.')", "The table is missing.", "mend "),
    ],
)
def test_contract_violations_python_tells_are_put_into_words(written, source, reason, remedy):
    error, told = written("worded", source)
    assert reason in error
    assert remedy in told


@pytest.mark.parametrize("target", ["json", "json.dumps", "json:", ":dumps", "a b:c", ""])
def test_hostile_target_is_a_module_and_an_attribute(written, target):
    declared = f"Evaluator(name='x', title='x', target={target!r}, metrics={{'a': True}})"
    error, remedy = written("aimless", f"@hookimpl\ndef mdkif_evaluators():\n    return [{declared}]\n")
    assert error.startswith("the target of the evaluator 'x' is ")
    assert remedy == "write it as 'module:attribute'"


@pytest.mark.parametrize("title", ["None", "5", "'two\\nlines'", "'\\x1b[31m'", "'\\u202e'"])
def test_hostile_title_is_one_line_that_can_be_shown(written, title):
    declared = f"Evaluator(name='x', title={title}, target='json:dumps', metrics={{'a': True}})"
    error, _ = written("titled", f"@hookimpl\ndef mdkif_evaluators():\n    return [{declared}]\n")
    assert error == "the title of the evaluator 'x' is no line of text"


@pytest.mark.parametrize("text", ["plain", "a\nb", "x" * 9000, "\x1b[31m\x07 " * 900, "é" * 301, " \t "])
def test_hostile_line_of_others_is_one_short_line(text):
    shown = contract.line(text, 300)
    assert len(shown) <= 300
    assert shown.isprintable()
    assert shown == shown.strip()
