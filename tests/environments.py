"""Fresh environments made of wheels: what they install, packages from elsewhere, and nothing of this checkout.

Installing PyTorch anew for every distribution would take minutes. Packages from elsewhere are therefore links to those
beside this interpreter: all of them, or only those that a distribution's own metadata ask for.
"""

import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

from filelock import FileLock

ROOT = Path(__file__).resolve().parent.parent
BESIDE = Path(sysconfig.get_path("purelib"))
UV = Path(sysconfig.get_path("scripts")) / "uv"
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("MDKIF_", "PYTEST_", "PYTHON"))}
CLEAN |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "COLUMNS": "200"}

Done = subprocess.CompletedProcess[str]


def run(*command: str | Path, **options: object) -> Done:
    """Run a command with this process's variables, less those of tests and of Python; both outputs as text."""
    arguments: dict[str, object] = {"env": CLEAN, "capture_output": True, "text": True, "check": False, **options}
    return subprocess.run([str(each) for each in command], **arguments)  # type: ignore[call-overload,no-any-return]


def make(*arguments: str | Path, **options: object) -> str:
    """Run make in the checkout as it is, whatever is newer than .venv; returns what it printed."""
    done = run("make", "--no-print-directory", "--old-file", ".venv/.ready", *arguments, cwd=ROOT, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build_all(folder: Path) -> Path:
    """The wheels of the tree by `make wheels`, made once for all processes of a test run; returns their folder."""
    with FileLock(folder / "wheels.lock"):
        if not (folder / "wheels").exists():
            make("wheels", f"WHEELS={folder / 'building'}")
            (folder / "building").rename(folder / "wheels")
    return folder / "wheels"


def build(project: Path, folder: Path) -> None:
    """Build one wheel as `make wheels` does."""
    options = ["--quiet", "--wheel", "--no-build-isolation", "--python", sys.executable]
    run(UV, "build", *options, "--out-dir", folder, project).check_returncode()


@dataclass(frozen=True)
class Environment:
    """A virtual environment of this interpreter."""

    folder: Path

    @classmethod
    def fresh(cls, folder: Path, packages: Iterable[str] | None = None) -> "Environment":
        """A new one with links to these packages from elsewhere, or to all."""
        run(UV, "venv", "--offline", "--python", sys.executable, folder).check_returncode()
        made = cls(folder)
        link(made.site, packages)
        return made

    @property
    def site(self) -> Path:
        """Its folder of packages."""
        return self.folder / BESIDE.relative_to(sys.prefix)

    def install(self, wheels: Path, *names: str) -> Done:
        """Install from a folder of wheels and nowhere else."""
        offline = ("--offline", "--no-index", "--cache-dir", self.folder.parent / "uv")
        return run(
            UV, "pip", "install", *offline, "--find-links", wheels, "--python", self.folder / "bin/python", *names
        )

    def run(self, *command: str | Path, cwd: Path | None = None, **variables: str) -> Done:
        """Run a command where the environment is active."""
        path = f"{self.folder / 'bin'}{os.pathsep}{CLEAN['PATH']}"
        active = {**CLEAN, "PATH": path, "VIRTUAL_ENV": str(self.folder), **variables}
        return run(*command, cwd=cwd or self.folder, env=active)


def link(site: Path, packages: Iterable[str] | None = None) -> None:
    """Fill a folder with links to these packages from elsewhere, or to all: to whatever is no part of mdkif."""
    for name in _files(packages) if packages is not None else {path.name for path in BESIDE.iterdir()}:
        source, target = BESIDE / name, site / name
        if "mdkif" in name or target.exists():
            continue
        if source.suffix == ".dist-info":  # uv takes a link for nothing that is installed
            target.mkdir()
            for file in source.iterdir():
                (target / file.name).symlink_to(file)
        else:
            target.symlink_to(source)


def _files(packages: Iterable[str]) -> Iterator[str]:
    """The names that packages have in the folder of this interpreter's."""
    for package in packages:
        yield from {file.parts[0] for file in distribution(package).files or ()} - {"..", "__pycache__"}
