"""Discovery with real distributions on disk: whatever one of them does, the others work and it is named."""

import json
import os
import re
import subprocess
import sys
from importlib.metadata import distributions
from textwrap import dedent

import pytest
from mdkif import BadInput, Dataset, Evaluator, Router, Skill, Task, Trainer
from mdkif.core.contract.catalogue import catalogue
from mdkif.core.contract.declarations import KINDS, Declaration, PromptedSpec
from mdkif.core.contract.discovery import Plugins

HEAD = "from mdkif import *\nfrom mdkif import hookimpl\n"


def evaluator(name="good", hook="mdkif_evaluators"):
    """The source of a hook that declares one evaluator."""
    declared = f"Evaluator(name={name!r}, title='A title', target='json:dumps', metrics={{'accuracy': True}})"
    return f"{HEAD}@hookimpl\ndef {hook}():\n    return [{declared}]\n"


@pytest.fixture
def install(tmp_path, monkeypatch):
    """A function that puts a distribution with one module and its entry point on the path, as pip would."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def put(dist, source, version="1.2", entry=None, metadata=True):
        module = "throwaway_" + dist.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(dedent(source), "utf-8")
        info = tmp_path / f"{dist.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        if metadata:
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[mdkif]\n{dist} = {entry or module}\n\n[other]\nx = y\n")

    yield put
    for name in set(sys.modules) - before:
        if name.startswith("throwaway_"):
            del sys.modules[name]


@pytest.fixture
def load(tmp_path):
    """A function that loads the distributions on the path, by name."""

    def found(**options):
        entries = [e for d in distributions(path=[str(tmp_path)]) for e in d.entry_points if e.group == "mdkif"]
        plugins = Plugins(entries, **options)
        return plugins, {plugin.dist: plugin for plugin in plugins.plugins}

    return found


def test_plugin_is_reported_with_version_and_what_it_provides(install, load):
    install("mdkif-good", evaluator(), version="3.4.5")
    plugins, reports = load()
    report = reports["mdkif-good"]
    assert (report.version, report.error, report.provides) == ("3.4.5", None, ["evaluator good"])
    assert report.seconds > 0
    assert plugins.get(Evaluator, "good").title == "A title"
    assert plugins.owner(plugins.get(Evaluator, "good")) is report
    assert plugins.all(Skill) == []


BROKEN = {
    "raises at import": ("1 / 0", "ZeroDivisionError: division by zero"),
    "lacks a dependency": ("import no_such_package", "ModuleNotFoundError: No module named 'no_such_package'"),
    "has a syntax error": ("def", "SyntaxError"),
    "exits at import": ("import sys; sys.exit(3)", "SystemExit: 3"),
    "raises in a hook": (f"{HEAD}@hookimpl\ndef mdkif_skills():\n    raise RuntimeError('boom')", "RuntimeError: boom"),
    "exits in a hook": (f"{HEAD}@hookimpl\ndef mdkif_skills():\n    raise SystemExit(4)", "SystemExit: 4"),
    "has a hook with arguments": (
        f"{HEAD}@hookimpl\ndef mdkif_skills(manager):\n    return []",
        r"its hook mdkif_skills takes arguments that it is not given \(manager\)",
    ),
    "has a hook with a typing error in its name": (
        evaluator(hook="mdkif_evaluator"),
        "it implements the hook mdkif_evaluator, which does not exist",
    ),
    "returns nothing": (
        f"{HEAD}@hookimpl\ndef mdkif_tasks():\n    pass",
        "mdkif_tasks returned a NoneType; it must return a list",
    ),
    "returns something else": (
        f"{HEAD}@hookimpl\ndef mdkif_tasks():\n    return ['task']",
        "mdkif_tasks returned a str; it must return Task objects",
    ),
    "returns another kind": (
        evaluator(hook="mdkif_datasets"),
        "mdkif_datasets returned a Evaluator; it must return Dataset objects",
    ),
    "forgets a field": (
        f"{HEAD}@hookimpl\ndef mdkif_skills():\n    return [Skill(name='x')]",
        "its Skill lacks 'title', 'category', 'sources', 'template', and 'package'",
    ),
    "has a name that cannot be typed": (evaluator("Good One"), "the evaluator name 'Good One' must be lower-case"),
    "has an empty name": (evaluator(""), "the evaluator name '' must be lower-case"),
    "has a path for a name": (evaluator("../x"), "must be lower-case letters, digits and hyphens"),
    "declares a name twice": (
        evaluator().replace("return [", "return 2 * ["),
        "it declares the evaluator 'good' twice",
    ),
}


@pytest.mark.parametrize(("source", "reason"), BROKEN.values(), ids=BROKEN)
def test_plugin_that_is_broken_is_named_with_its_reason_and_the_others_work(install, load, source, reason, capfd):
    install("mdkif-aaa", evaluator("first"))
    install("mdkif-bad", source, version="0.9")
    install("mdkif-zzz", evaluator("last"))
    plugins, reports = load()
    bad = reports.pop("mdkif-bad")
    assert (bad.dist, bad.version, bad.provides) == ("mdkif-bad", "0.9", [])
    assert re.search(reason, bad.error)
    assert bad.remedy
    assert [report.error for report in reports.values()] == [None, None]
    assert [declared.name for declared, _ in plugins.all(Declaration)] == ["first", "last"]
    assert "Traceback" not in "".join(capfd.readouterr())


def test_plugin_category_that_does_not_exist_is_refused_with_the_five(install, load):
    skill = "Skill(name='x', title='x', category='poetry', sources=(), template='x.jinja', package='')"
    install("mdkif-bad", f"{HEAD}@hookimpl\ndef mdkif_skills():\n    return [{skill}]")
    bad = load()[1]["mdkif-bad"]
    assert bad.error == "the skill 'x' has the category 'poetry'"
    assert "knowledge-graph" in bad.remedy


def test_plugin_entry_point_to_a_module_that_is_not_there_is_reported(install, load):
    install("mdkif-bad", "", entry="throwaway_nowhere")
    install("mdkif-worse", "", entry="no module: at all")
    reports = load()[1]
    assert "throwaway_nowhere" in reports["mdkif-bad"].error
    assert reports["mdkif-worse"].error


def test_plugin_what_is_left_of_an_uninstalled_distribution_is_reported(install, load):
    """Its metadata is gone and so are its name and version: the entry point's name stands in."""
    install("mdkif-gone", "1 / 0", metadata=False)
    install("mdkif-good", evaluator())
    plugins, reports = load()
    assert reports["mdkif-gone"].version == "unknown"
    assert "ZeroDivisionError" in reports["mdkif-gone"].error
    assert plugins.get(Evaluator, "good")


def test_plugin_with_one_bad_declaration_is_not_used_at_all(install, load):
    """Half a plugin would surprise more than none."""
    install("mdkif-half", evaluator("fine") + "@hookimpl\ndef mdkif_tasks():\n    return [1]")
    plugins, reports = load()
    assert reports["mdkif-half"].error
    assert plugins.all(Declaration) == []


def test_plugin_name_that_is_taken_names_both_and_the_first_keeps_it(install, load):
    install("mdkif-aaa", evaluator("same"), version="1.0")
    install("mdkif-bbb", evaluator("same") + "# again", version="2.0")
    plugins, reports = load()
    assert reports["mdkif-aaa"].error is None
    assert reports["mdkif-bbb"].error == ("the evaluator 'same' is already provided by mdkif-aaa 1.0")
    assert reports["mdkif-bbb"].remedy == "rename it or uninstall one of the two"
    assert plugins.owner(plugins.get(Evaluator, "same")).dist == "mdkif-aaa"


def test_plugin_known_distributions_claim_goes_first(install, load):
    """Or any distribution with a name early in the alphabet could take the name of a known skill."""
    install("aaa-squatter", evaluator("same"))
    install("mdkif-own", evaluator("same"))
    plugins, reports = load(first=["mdkif-own"])
    assert plugins.owner(plugins.get(Evaluator, "same")).dist == "mdkif-own"
    assert "already provided by mdkif-own" in reports["aaa-squatter"].error


def test_plugin_things_of_different_kinds_may_share_a_name(install, load):
    dataset = "Dataset(name='same', title='t', target='a:b', licence='', access='', homepage='')"
    install("mdkif-both", evaluator("same") + f"@hookimpl\ndef mdkif_datasets():\n    return [{dataset}]")
    plugins, _ = load()
    assert plugins.get(Dataset, "same") != plugins.get(Evaluator, "same")


def test_core_command_cannot_be_replaced(install, load):
    command = "Command(name='train', title='t', target='a:b')"
    install("mdkif-bad", f"{HEAD}@hookimpl\ndef mdkif_commands():\n    return [{command}]")
    assert load()[1]["mdkif-bad"].error is None
    for name in [name for name in sys.modules if name.startswith("throwaway_")]:
        del sys.modules[name]
    bad = load(reserved=["train"])[1]["mdkif-bad"]
    assert (bad.error, bad.remedy) == ("'train' is a core command and cannot be replaced", "rename the command")


def test_plugin_same_module_in_two_entry_points_harms_neither_the_first_nor_others(install, load):
    install("mdkif-aaa", evaluator("one"))
    install("mdkif-bbb", "", entry="throwaway_mdkif_aaa")
    install("mdkif-ccc", evaluator("two"))
    plugins, reports = load()
    assert [reports[name].error is None for name in ("mdkif-aaa", "mdkif-bbb", "mdkif-ccc")] == [True, False, True]
    assert [declared.name for declared, _ in plugins.all(Evaluator)] == ["one", "two"]


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [("", []), ("mdkif-bbb", ["mdkif-bbb"]), ("mdkif-bbb, mdkif-aaa", ["mdkif-aaa", "mdkif-bbb"]), ("none", [])],
)
def test_plugin_choice_is_the_environments(install, load, monkeypatch, chosen, expected):
    for dist in ("mdkif-aaa", "mdkif-bbb", "mdkif-ccc"):
        install(dist, evaluator(dist))
    monkeypatch.setenv("MDKIF_PLUGINS", chosen)
    assert list(load()[1]) == expected


def test_plugin_that_is_not_chosen_is_not_imported(install, load, monkeypatch):
    install("mdkif-bad", "raise SystemExit('imported')")
    monkeypatch.setenv("MDKIF_PLUGINS", "")
    assert load()[1] == {}
    assert "throwaway_mdkif_bad" not in sys.modules


def test_plugin_unknown_name_suggests_the_nearest(install, load):
    install("mdkif-good", evaluator("classification"))
    with pytest.raises(
        BadInput, match=r"^There is no evaluator named 'clasification': did you mean 'classification'\?$"
    ):
        load()[0].get(Evaluator, "clasification")


@pytest.mark.parametrize("entry", catalogue(), ids=lambda entry: f"{entry.kind}-{entry.name}")
def test_plugin_everything_the_catalogue_knows_is_answered_with_what_to_install(entry):
    with pytest.raises(BadInput) as refused:
        Plugins([]).get(KINDS.get(entry.kind, Declaration), entry.name)
    assert str(refused.value) == f"The {entry.kind} '{entry.name}' is not installed: pip install {entry.dist}."


def test_plugin_missing_name_of_several_kinds_is_the_first_ones():
    with pytest.raises(BadInput, match=r"^The skill 'nli' is not installed"):
        Plugins([]).get(PromptedSpec, "nli")
    with pytest.raises(BadInput, match=r"^The task 'mednli' is not installed"):
        Plugins([]).get(PromptedSpec, "mednli")
    with pytest.raises(BadInput, match="There is no skill or task named 'adalora'"):
        Plugins([]).get(PromptedSpec, "adalora")


def test_plugin_name_of_several_kinds_is_got_in_their_order(plugins):
    assert isinstance(plugins.get(PromptedSpec, "mednli"), Task)
    assert isinstance(plugins.get(Declaration, "pubmedqa"), Task)
    assert isinstance(plugins.get(Dataset, "pubmedqa"), Dataset)


def test_plugin_without_plugins_a_name_that_nobody_knows_is_told_where_to_look():
    with pytest.raises(BadInput, match=r"known are .*cma-es, .*None is installed: see 'mdkif list --available'\.$"):
        Plugins([]).get(Router, "qqq")


def test_plugin_known_name_is_near_though_it_is_not_installed(install, load):
    install("mdkif-good", evaluator("mine"))
    with pytest.raises(
        BadInput, match=r"^There is no evaluator named 'clasification': did you mean 'classification'\?"
    ):
        load()[0].get(Evaluator, "clasification")


def test_plugin_what_a_failed_or_old_distribution_would_have_is_told_with_its_remedy(install, load):
    install("mdkif-evaluator-classification", "1 / 0")
    install("mdkif-trainer-lora", evaluator("other"), version="0.0.1")
    plugins, reports = load()
    with pytest.raises(BadInput) as refused:
        plugins.get(Evaluator, "classification")
    remedy = reports["mdkif-evaluator-classification"].remedy
    assert str(refused.value) == (
        "The evaluator 'classification' cannot be used: mdkif-evaluator-classification failed "
        f"(ZeroDivisionError: division by zero); {remedy}."
    )
    with pytest.raises(
        BadInput, match=r"is not in mdkif-trainer-lora 0\.0\.1: pip install --upgrade mdkif-trainer-lora"
    ):
        plugins.get(Trainer, "lora")


def test_plugin_long_reason_is_cut_and_on_one_line(install, load):
    install("mdkif-bad", "raise RuntimeError('a\\n' * 900)")
    error = load()[1]["mdkif-bad"].error
    assert "\n" not in error
    assert len(error) < 350


def test_plugin_interrupt_is_the_users_and_not_a_plugins_error(install, load):
    install("mdkif-slow", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load()


def test_plugin_prints_stay_out_of_standard_output(install, load, capsys):
    install(
        "mdkif-chatty", "print('hello from import')\n" + evaluator().replace("    return", "    print('hook'); return")
    )
    load()
    out, err = capsys.readouterr()
    assert out == ""
    assert "hello from import" in err


def test_plugin_once_installed_is_found_by_a_new_process(install, tmp_path):
    """Through the path alone, as after `pip install`, and beside a broken one."""
    install("mdkif-good", evaluator())
    install("mdkif-bad", "import sys; sys.exit('no')")
    code = (
        "import json; from mdkif.core.contract.discovery import Plugins; "
        "print(json.dumps([[p.dist, p.version, p.provides, p.error] for p in Plugins().plugins]))"
    )
    env = os.environ | {"PYTHONPATH": str(tmp_path), "MDKIF_PLUGINS": "mdkif-good,mdkif-bad"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [
        ["mdkif-bad", "1.2", [], "SystemExit: no"],
        ["mdkif-good", "1.2", ["evaluator good"], None],
    ]


@pytest.mark.parametrize("heavy", ["torch", "transformers", "peft", "datasets"])
def test_plugin_loading_imports_nothing_heavy(heavy):
    code = (
        "import sys; from mdkif.core.contract.discovery import Plugins; "
        f"sys.exit(any(p.error for p in Plugins().plugins) or {heavy!r} in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_plugin_of_the_repository_works(plugins):
    assert [(plugin.dist, plugin.error) for plugin in plugins.plugins if plugin.error] == []
    assert len(plugins.plugins) > 20
