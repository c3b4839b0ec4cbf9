"""Every line of the documentation that installs something is run, in a fresh environment, from wheels of the tree.

A folder stands for the package index: it has those wheels and, for each package from elsewhere, an empty one with the
metadata of the package beside this interpreter. What is installed there already is linked from it.
"""

import json
import os
import re
import shutil
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path
from zipfile import ZipFile

import pytest
from environments import CLEAN, ROOT, UV, Environment, link, make

INSTALLS = re.compile(r"\bpip (install|wheel|download) |\bmdkif (install|new) |-m venv |^make (setup|shell|wheels)\b")
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FOLLOWED = {"docs/tutorial.md"}  # by test_tutorial.py, to the letter
TEXTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md"), *ROOT.glob("plugins/*/*.md")]
PAPERS = 'pip install --find-links dist "mdkif[papers]"'

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the pages are written for a POSIX shell")


def installing(text: str) -> list[str]:
    """The commands of a page that install something, in order: lines of its code, and code within its sentences."""
    found, fenced = [], False
    for line in text.replace("\\\n", " ").splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        code = [line.strip()] if fenced or line.startswith("    ") else re.findall(r"`([^`]+)`", line)
        found += [re.sub(r"\s+#.*", "", each.removeprefix("$ ")) for each in code]
    return [each for each in found if INSTALLS.search(each) and not re.search(r"NAME|…|^\.venv/", each)]


PAGES = {
    name: commands
    for page in TEXTS
    if (name := page.relative_to(ROOT).as_posix()) not in FOLLOWED and "_build" not in name and "examples" not in name
    if (commands := installing(page.read_text("utf-8")))
}


@dataclass(frozen=True)
class Newcomer:
    """Someone with a fresh environment, in an empty folder, whose package index is a folder of wheels."""

    environment: Environment
    folder: Path
    variables: dict[str, str]

    def types(self, command: str) -> str:
        """Run a line as it stands in the documentation; returns what it printed."""
        done = self.environment.run("bash", "-euc", command, cwd=self.folder, **self.variables)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def index(wheels, tmp_path_factory):
    """What stands for the package index."""
    folder = tmp_path_factory.mktemp("index")
    for wheel in wheels.glob("*.whl"):
        shutil.copy(wheel, folder)
    for package in distributions():
        if not package.name.startswith("mdkif"):
            empty_wheel(package, folder)
    return folder


def empty_wheel(package: Distribution, folder: Path) -> None:
    """A wheel that has the metadata of an installed package and nothing else."""
    stem = f"{re.sub(r'[-_.]+', '_', package.name)}-{package.version}"
    files = {"METADATA": package.read_text("METADATA") or "", "RECORD": ""}
    files["WHEEL"] = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as archive:
        for name, text in files.items():
            archive.writestr(f"{stem}.dist-info/{name}", text)


@pytest.fixture
def newcomer(index, wheels, tmp_path):
    elsewhere, folder = tmp_path / "elsewhere", tmp_path / "folder"
    elsewhere.mkdir()
    folder.mkdir()
    link(elsewhere)
    environment = Environment.fresh(tmp_path / "environment", [])
    # uv installs what pip would, in a tenth of its time; whatever else pip does is pip's
    pip = f"""#!/bin/sh
case "$1" in
install) shift; exec {UV} pip install --quiet --offline --no-index --find-links {index} "$@" ;;
*) exec python -m pip "$@" ;;
esac
"""
    # The wheels are there already; what else is made needs a checkout, where this shows that it can be.
    making = f"""#!/bin/sh
case "$1 $2" in
"wheels WHEELS="*) cp -R {wheels} "${{2#WHEELS=}}" ;;
"wheels ") cp -R {wheels} dist ;;
*) exec /usr/bin/env -i PATH="{CLEAN["PATH"]}" make -C {ROOT} --old-file .venv/.ready --dry-run "$@" ;;
esac
"""
    for name, text in {"pip": pip, "make": making}.items():
        script = environment.folder / "bin" / name
        script.write_text(text)
        script.chmod(0o755)
    shutil.copy(ROOT / "constraints.txt", folder)
    pip_reads = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index), "PIP_NO_BUILD_ISOLATION": "0"}
    quiet = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore"}
    return Newcomer(environment, folder, {"PYTHONPATH": str(elsewhere), **pip_reads, **quiet})


@pytest.mark.parametrize("page", PAGES)
def test_installing_page_installs_as_it_says(newcomer, page):
    show_files(ROOT / page, newcomer.folder)
    if PAGES[page][0].startswith("mdkif "):  # a page for those who have it
        newcomer.types("pip install mdkif")
    for command in PAGES[page]:
        newcomer.types(command)
    for mdkif in [*newcomer.environment.folder.glob("bin/mdkif"), *newcomer.folder.glob("*/bin/mdkif")]:
        plugins = json.loads(newcomer.types(f"{mdkif} plugins --json"))
        assert [plugin for plugin in plugins if plugin["error"]] == []
    if page == "README.md":
        has_everything_of_the_papers(newcomer)


def has_everything_of_the_papers(newcomer):
    listed = json.loads(newcomer.types("mdkif list --json"))
    found = {kind: {row["name"] for row in listed if row["kind"] == kind} for kind in {row["kind"] for row in listed}}
    assert found["skill"] == {"qa", "mcqa", "mc", "mldc", "mrc", "nli", "ts", "ner", "re", "ea", "es", "er"}
    unseen_data = {"emrqa", "medquad", "pubmedqa", "mednli", "cliner", "mimic-cause"}
    assert found["task"] >= unseen_data | {"icd-coding", "medication", "readmission"}
    assert found["trainer"] >= {"adalora", "lora"}
    assert found["router"] >= {"cma-es", "gradient", "uniform", "single"}
    assert found["evaluator"] >= {"classification", "generation", "entities"}
    looked = json.loads(newcomer.types("mdkif doctor --json"))
    assert [line for line in looked if not line["ok"]] == []


def show_files(page: Path, folder: Path) -> None:
    """Write the project that a page shows whole: its pyproject.toml, and modules that begin with their names."""
    for kind, text in FENCE.findall(page.read_text("utf-8")):
        if kind == "toml" and text.startswith("[build-system]"):
            (folder / "pyproject.toml").write_text(text, "utf-8")
        elif named := re.match(r"# (\w+\.py)\n", text):
            (folder / named[1]).write_text(text, "utf-8")


def test_installing_pages_that_install_are_read():
    assert {"README.md", "CONTRIBUTING.md", "docs/start.md", "docs/howto/offline.md", "docs/plugins.md"} <= set(PAGES)
    assert PAPERS in PAGES["README.md"]
    text = "Say `pip install mdkif-a`.\n\n    make setup  # all\n\n```sh\n$ pip install \\\n    mdkif-b\n```\n"
    assert installing(text) == ["pip install mdkif-a", "make setup", "pip install      mdkif-b"]


def test_installing_page_with_a_line_that_cannot_work_fails(newcomer):
    newcomer.types("make wheels")
    with pytest.raises(AssertionError, match="mdkif-skill-dermatology was not found"):
        newcomer.types("pip install --find-links dist mdkif-skill-dermatology")
    with pytest.raises(AssertionError, match="No rule to make target"):
        newcomer.types("make everything")


def test_installing_make_shell_finds_the_commands_of_the_environment():
    printed = make("shell", input="command -v mdkif\nmdkif --version\nexit 3\n", env={**CLEAN, "SHELL": "/bin/sh"})
    where, version = printed.splitlines()
    assert where == str(ROOT / ".venv/bin/mdkif")
    assert re.fullmatch(r"mdkif.* \d+\.\d+\.\d+.*", version)
