"""The installation: plugins in and out by pip in an environment of its own, and what the doctor finds."""

import json
import os
import re
import site
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from mdkif import BadInput, Toolkit
from mdkif.cli import main
from mdkif.core.console.app import run
from mdkif.core.console.doctor import examine
from mdkif.core.contract.discovery import Plugins
from mdkif.core.contract.install import distribution_of

CODE = "from mdkif.__main__ import entry; entry()"


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A virtual environment with everything of this one beside what is installed into it, and a wheel to install."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    python = folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / Path(sys.executable).name
    ask = "import site; print(site.getsitepackages()[0])"
    own = Path(subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.strip())
    (own / "beside.pth").write_text(f"import site; site.addsitedir({site.getsitepackages()[0]!r})\n")
    assert run(main, ["new", "evaluator", "exact-words", str(folder / "source")]) == 0
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir"]
    subprocess.run([*pip, folder / "wheels", folder / "source"], check=True)
    return python, next((folder / "wheels").glob("*.whl"))


def call(python, *arguments):
    settings = {**os.environ, "PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"}
    return subprocess.run([python, "-c", CODE, *arguments], env=settings, capture_output=True, text=True, check=False)


def evaluators(python):
    return {row["name"] for row in json.loads(call(python, "list", "evaluators", "--json").stdout)}


def test_install_takes_a_wheel_and_uninstall_removes_it(environment):
    python, wheel = environment
    assert "exact-words" not in evaluators(python)
    done = call(python, "install", str(wheel), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"installed": [str(wheel)]}
    assert "exact-words" in evaluators(python)
    done = call(python, "uninstall", "exact-words")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "removed mdkif-evaluator-exact-words\n"
    assert "exact-words" not in evaluators(python)


def test_install_that_pip_fails_is_one_sentence_after_pips_own(environment):
    python, _ = environment
    done = call(python, "install", "mdkif-skill-nobody-wrote")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("Error: pip install failed with exit code 1")


def test_install_takes_nothing_if_one_name_is_unknown(environment):
    python, wheel = environment
    done = call(python, "install", str(wheel), "nil")
    assert done.returncode == 2
    assert "did you mean 'nli'?" in done.stderr
    assert "exact-words" not in evaluators(python)


@pytest.mark.parametrize(
    ("name", "dist"),
    [
        ("nli", "mdkif-skill-nli"),
        ("adalora", "mdkif-trainer-adalora"),
        ("mimic-iv", "mdkif-dataset-mimic"),
        ("mdkif-skill-nli", "mdkif-skill-nli"),
        ("mdkif-skill-of-another", "mdkif-skill-of-another"),
    ],
)
def test_install_names_are_those_of_the_catalogue_or_distributions(name, dist):
    assert distribution_of(name) == dist


def test_install_path_is_taken_as_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nli").mkdir()
    assert distribution_of("nli") == str(tmp_path / "nli")


def test_install_name_of_several_distributions_is_refused_with_them():
    with pytest.raises(BadInput, match=r"install one of mdkif-dataset-mednli, mdkif-task-mednli\.$"):
        distribution_of("mednli")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mednli", "remove one of mdkif-dataset-mednli, mdkif-task-mednli"),
        ("mdkif-skill-nil", "no installed plugin named 'mdkif-skill-nil'.*did you mean 'mdkif-skill-nli'"),
    ],
)
def test_uninstall_removes_only_what_is_installed_and_meant(name, message, capsys):
    assert run(main, ["uninstall", name]) == 2
    assert re.search(message, capsys.readouterr().err)


# The doctor


def lines(kit):
    return {line.what: line for line in examine(kit.workspace)}


def test_doctor_has_no_remedy_for_a_sound_installation(tmp_path, capsys):
    found = lines(Toolkit(tmp_path))
    assert all(line.ok for line in found.values() if line.what != "disk")
    told = [line for line in found.values() if line.remedy and line.what != "disk"]
    assert all("optional" in line.found for line in told)
    assert {"python", "mdkif", "torch", "plugins", "store", "disk", "device", "threads"} <= set(found)
    assert "cpu" in found["device"].found or "cuda" in found["device"].found
    run(main, ["--store", str(tmp_path), "doctor", "--json"])
    assert [row["what"] for row in json.loads(capsys.readouterr().out)] == list(found)


def test_doctor_tells_a_broken_plugin_and_a_missing_package_with_a_remedy(tmp_path, monkeypatch, capsys):
    broken = EntryPoint("broken", "no_such_module_at_all", "mdkif")
    found = lines(Toolkit(tmp_path, plugins=Plugins([broken])))
    assert not found["broken"].ok
    assert "ModuleNotFoundError" in found["broken"].found
    assert "mdkif uninstall broken" in found["broken"].remedy
    monkeypatch.setattr("mdkif.core.console.doctor.REQUIRED", ("torch", "no-such-package"))
    missing = lines(Toolkit(tmp_path))["no-such-package"]
    assert (missing.ok, missing.found, missing.remedy) == (False, "missing", "pip install no-such-package")
    assert run(main, ["--store", str(tmp_path), "doctor"]) == 1
    assert "✗" in capsys.readouterr().out


def test_doctor_without_plugins_says_which_to_install(tmp_path):
    line = lines(Toolkit(tmp_path, plugins=Plugins([])))["plugins"]
    assert not line.ok
    assert "list --available" in line.remedy


@pytest.mark.parametrize(
    ("chosen", "missing"),
    [
        (
            "mdkif-task-mednli",
            {"dataset mednli": "mdkif-dataset-mednli", "evaluator classification": "mdkif-evaluator-classification"},
        ),
        ("mdkif-task-mednli,mdkif-dataset-mednli,mdkif-evaluator-classification", {}),
        ("mdkif-skill-qa", {"dataset pubmedqa": "mdkif-dataset-pubmedqa"}),
        ("mdkif-evaluator-classification", {}),
    ],
)
def test_doctor_names_missing_parts_of_what_is_installed(tmp_path, monkeypatch, chosen, missing):
    monkeypatch.setenv("MDKIF_PLUGINS", chosen)
    found = lines(Toolkit(tmp_path))
    parts = {what: line for what, line in found.items() if what.startswith(("dataset ", "evaluator "))}
    assert set(parts) == set(missing)
    for what, dist in missing.items():
        assert not parts[what].ok
        assert parts[what].remedy.endswith(f"pip install {dist}.")
        assert chosen.removeprefix("mdkif-").partition("-")[2] in parts[what].found


def test_doctor_tells_skills_without_a_trainer_and_tasks_without_a_router(tmp_path, monkeypatch):
    monkeypatch.setenv("MDKIF_PLUGINS", "mdkif-skill-nli,mdkif-task-mednli")
    found = lines(Toolkit(tmp_path))
    assert (found["trainers"].ok, found["routers"].ok) == (False, False)
    monkeypatch.setenv("MDKIF_PLUGINS", "mdkif-skill-nli,mdkif-trainer-lora")
    assert not {"trainers", "routers"} & set(lines(Toolkit(tmp_path)))


def test_doctor_names_a_data_set_of_nobodys(tmp_path):
    """A third party's task, whose data set the catalogue does not know either."""
    own = tmp_path / "throwaway_task.py"
    source = "Source(dataset='of-nobody'),"
    fields = f"name='own', title='Own', category='question-answering', sources=({source}), template='x', package=''"
    own.write_text(f"from mdkif import *\n@hookimpl\ndef mdkif_skills():\n    return [Skill({fields})]\n", "utf-8")
    sys.path.insert(0, str(tmp_path))
    try:
        plugins = Plugins([EntryPoint("throwaway", "throwaway_task", "mdkif")])
    finally:
        sys.path.remove(str(tmp_path))
        sys.modules.pop("throwaway_task", None)
    line = lines(Toolkit(tmp_path, plugins=plugins))["dataset of-nobody"]
    assert (line.ok, line.remedy) == (False, "install the plugin that has it")


def test_doctor_shows_unfinished_work_and_what_the_store_holds(tmp_path):
    (tmp_path / "runs" / "train-nli-abc").mkdir(parents=True)
    (tmp_path / "skills" / "tiny" / "nli").mkdir(parents=True)
    (tmp_path / "skills" / "tiny" / "nli" / "skill.json").write_text(
        json.dumps({"adapter": "0123abcd", "base": "tiny", "fingerprint": "0"})
    )
    found = lines(Toolkit(tmp_path))
    assert found["unfinished"].found == "train-nli-abc"
    assert found["store"].found.endswith("0 models, 1 skills")


def test_doctor_names_a_device_that_is_not_there(tmp_path):
    line = lines(Toolkit(tmp_path, device="spam"))["device"]
    assert not line.ok
    assert "There is no device" in line.remedy
