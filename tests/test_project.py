"""The frame of the repository: pinned versions, and plugins that look alike and like anyone's."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def names(requirements):
    return {normal(re.split(r"[^\w.-]", requirement, maxsplit=1)[0]) for requirement in requirements}


def pinned():
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins)  # no build of one machine, such as +cpu
    found = [normal(pin.partition("==")[0]) for pin in pins]
    assert found == sorted(set(found))
    return found


def project(folder):
    return tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))


def test_project_pins_every_direct_requirement():
    own = {project(folder)["project"]["name"] for folder in FOLDERS} | {"mdkif"}
    root = project(ROOT)
    groups = [line for group in root["dependency-groups"].values() for line in group if isinstance(line, str)]
    wanted = names([*root["project"]["dependencies"], *groups])
    for folder in FOLDERS:
        wanted |= names(project(folder)["project"]["dependencies"])
    assert wanted - own <= set(pinned())


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_project_plugin_is_a_distribution_of_its_folders_name(folder):
    facts = project(folder)
    package = f"mdkif_{folder.name.replace('-', '_')}"
    assert facts["project"]["name"] == f"mdkif-{folder.name}"
    assert facts["project"]["license"] == "Apache-2.0"
    assert "mdkif" in names(facts["project"]["dependencies"])
    assert {value.partition(":")[0] for value in facts["project"]["entry-points"]["mdkif"].values()} == {package}
    assert facts["build-system"]["build-backend"] == "hatchling.build"
    assert (folder / package / "py.typed").exists()
    assert "tool" not in facts  # hatchling finds the package by the distribution's name
    assert facts["project"].get("readme", "absent") == ("README.md" if (folder / "README.md").exists() else "absent")


def test_project_test_modules_have_names_of_their_own():
    """Or type checkers would take two of them for one module."""
    modules = [path.stem for folder in (ROOT, *FOLDERS) for path in folder.glob("tests/test_*.py")]
    assert len(set(modules)) == len(modules)


def test_project_package_never_imports_itself_by_its_own_name():
    for path in (ROOT / "core").glob("*.py"):
        assert not re.search(r"^\s*(from|import) mdkif\b", path.read_text("utf-8"), re.M), path.name


def test_make_alone_lists_every_target_with_its_purpose():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    [targets] = re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    done = subprocess.run(["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True)
    listed = dict(line.split(maxsplit=1) for line in done.stdout.splitlines()[1:])
    assert list(listed) == targets.split()
    assert all(listed.values())


@pytest.mark.parametrize("name", ["bug", "dataset", "idea"])
def test_issue_form_is_one_that_a_forge_reads(name):
    form = yaml.safe_load((ROOT / f".github/ISSUE_TEMPLATE/{name}.yml").read_text("utf-8"))
    assert form["name"]
    assert form["description"]
    fields = [part for part in form["body"] if part["type"] != "markdown"]
    assert {part["type"] for part in fields} <= {"input", "textarea", "checkboxes", "dropdown"}
    assert len({part["id"] for part in fields}) == len(fields)
    assert all(part["attributes"]["label"] for part in fields)


def test_issue_form_for_bugs_asks_for_no_record():
    [warning, *_, promise] = yaml.safe_load((ROOT / ".github/ISSUE_TEMPLATE/bug.yml").read_text("utf-8"))["body"]
    assert "No records" in warning["attributes"]["value"]
    assert promise["attributes"]["options"][0]["required"] is True
