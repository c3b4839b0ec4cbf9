"""Fresh environments made of wheels: what they install, packages from elsewhere, and nothing of this checkout.

Installing PyTorch anew for every distribution would take minutes. Packages from elsewhere are therefore links to those
beside this interpreter: all of them, or only those that a distribution's own metadata ask for.
"""

import ast
import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import Distribution, PathDistribution, distribution, packages_distributions
from pathlib import Path
from zipfile import Path as Inside
from zipfile import ZipFile

from filelock import FileLock
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
BESIDE = Path(sysconfig.get_path("purelib"))
UV = Path(sysconfig.get_path("scripts")) / "uv"
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("MDKIF_", "PYTEST_", "PYTHON"))}


def build(folder: Path) -> Path:
    """The wheels of the tree by `make wheels`, made once for all processes of a test run; returns their folder."""
    with FileLock(folder / "wheels.lock"):
        if not (folder / "wheels").exists():
            make("wheels", f"WHEELS={folder / 'building'}")
            (folder / "building").rename(folder / "wheels")
    return folder / "wheels"


def wheel(project: Path, folder: Path) -> None:
    """Build one wheel as `make wheels` does."""
    command = [UV, "build", "--quiet", "--wheel", "--no-build-isolation", "--python", sys.executable]
    subprocess.run([*command, "--out-dir", folder, project], env=CLEAN, check=True)


def make(*arguments: str, **options: object) -> str:
    """Run make in the checkout as it is, whatever is newer than .venv; returns what it printed."""
    command = ["make", "--no-print-directory", "--old-file", ".venv/.ready", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=CLEAN, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@dataclass(frozen=True)
class Environment:
    """A virtual environment of this interpreter."""

    folder: Path

    @classmethod
    def fresh(cls, folder: Path, packages: Iterable[str] | None = None) -> "Environment":
        """A new one with links to these packages, or to all that are no part of mdkif."""
        made = cls(folder)
        made.uv("venv", "--python", sys.executable, str(folder)).check_returncode()
        names = {path.name for path in BESIDE.iterdir()} if packages is None else set(_files(packages))
        for name in names:
            if "mdkif" not in name:
                _link(BESIDE / name, made.site / name)
        return made

    @property
    def site(self) -> Path:
        """Its folder of packages."""
        return self.folder / BESIDE.relative_to(sys.prefix)

    @property
    def variables(self) -> dict[str, str]:
        """Those of a shell in which it is active."""
        found = {"PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}", "VIRTUAL_ENV": str(self.folder)}
        return {**CLEAN, **found, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "COLUMNS": "200"}

    def uv(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run uv offline, with a cache of its own."""
        command = [UV, "--offline", "--cache-dir", self.folder.parent / "uv", *arguments]
        return subprocess.run(command, env=CLEAN, capture_output=True, text=True, check=False)

    def install(self, wheels: Path, *names: str) -> "subprocess.CompletedProcess[str]":
        """Install from a folder of wheels and nowhere else."""
        chosen = ["--python", str(self.folder / "bin/python"), "--no-index", "--find-links", str(wheels)]
        return self.uv("pip", "install", *chosen, *names)

    def run(self, *command: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
        """Run a command where the environment is active."""
        place = cwd or self.folder
        return subprocess.run(command, cwd=place, env=self.variables, capture_output=True, text=True, check=False)


def faults(name: str, wheels: Path, folder: Path) -> list[str]:
    """What is wrong with a distribution installed alone, with what it asks for, into a fresh environment."""
    wanted = closure(name, wheels)
    environment = Environment.fresh(folder / name, (each for each in wanted if not each.startswith("mdkif")))
    installed = environment.install(wheels, name)
    if installed.returncode:
        return [installed.stderr]
    found = [f"{name} does not declare {each}, which it imports" for each in sorted(undeclared(name, wheels))]
    listed = environment.run("mdkif", "plugins", "--json")
    if listed.returncode:
        return [*found, listed.stderr]
    plugins = json.loads(listed.stdout)
    found += [f"{plugin['dist']}: {plugin['error']}" for plugin in plugins if plugin["error"]]
    if {plugin["dist"] for plugin in plugins} != {each for each in wanted if each.startswith("mdkif-")}:
        found.append(f"the plugins are {[plugin['dist'] for plugin in plugins]}, and not those that it asks for")
    checked = environment.run("mdkif", "check", *[name] * (name != "mdkif"))
    return [*found, checked.stdout + checked.stderr] if checked.returncode else found


def closure(name: str, wheels: Path) -> set[str]:
    """A distribution, as in `mdkif` or `mdkif[papers]`, and all that it asks for on this machine, directly or not."""
    first = Requirement(name)
    waiting, seen = [(first.name, frozenset(first.extras))], set()
    while waiting:
        if (each := waiting.pop()) not in seen:
            seen.add(each)
            waiting += _needed(metadata(each[0], wheels), each[1])
    return {each for each, _ in seen}


def metadata(name: str, wheels: Path) -> Distribution:
    """The metadata of a wheel or, of a package from elsewhere, those beside this interpreter."""
    for wheel in wheels.glob(f"{name.replace('-', '_')}-*.whl"):
        return PathDistribution(next(each for each in Inside(wheel).iterdir() if each.name.endswith(".dist-info")))
    return distribution(name)


def declared(name: str, wheels: Path, *, extras: bool = False) -> set[str]:
    """What a distribution asks for, by name; with what only its extras do, if wanted."""
    requirements = map(Requirement, metadata(name, wheels).requires or ())
    return {canonicalize_name(each.name) for each in requirements if extras or "extra" not in str(each.marker)}


def imported(name: str, wheels: Path) -> set[str]:
    """The distributions of everything that the modules of a wheel import, wherever in them."""
    (wheel,) = wheels.glob(f"{name.replace('-', '_')}-*.whl")
    with ZipFile(wheel) as archive:
        modules = [archive.read(file) for file in archive.namelist() if file.endswith(".py")]
    names = {each.partition(".")[0] for module in modules for each in _imports(module)}
    known = _owners()
    found = {known.get(each, [each])[0] for each in names - set(sys.stdlib_module_names)}
    return {canonicalize_name(each) for each in found} - {name}


def undeclared(name: str, wheels: Path) -> set[str]:
    """What a distribution imports and does not ask for."""
    return imported(name, wheels) - declared(name, wheels, extras=True)


@cache
def _owners() -> Mapping[str, list[str]]:
    return packages_distributions()


def _imports(module: bytes) -> Iterator[str]:
    for node in ast.walk(ast.parse(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module or ""


def _needed(asking: Distribution, extras: frozenset[str]) -> Iterator[tuple[str, frozenset[str]]]:
    for wanted in map(Requirement, asking.requires or ()):
        if wanted.marker is None or any(wanted.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield canonicalize_name(wanted.name), frozenset(wanted.extras)


def _files(packages: Iterable[str]) -> Iterator[str]:
    """The names that packages have in the folder of this interpreter's."""
    for package in packages:
        yield from {file.parts[0] for file in distribution(package).files or ()} - {"..", "__pycache__"}


def _link(source: Path, target: Path) -> None:
    """A link to a package, or a folder of links for its metadata: uv takes no link for an installed package."""
    if source.suffix == ".dist-info":
        target.mkdir()
        for file in source.iterdir():
            (target / file.name).symlink_to(file)
    elif not target.exists():
        target.symlink_to(source)
