"""Installing and removing plugins with pip, in the environment that mdkif itself runs in."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..errors import BadInput, MdkifError, unknown
from .catalogue import catalogue
from .discovery import Plugins


def distribution_of(name: str) -> str:
    """What pip installs for a name: the catalogue's distribution, or the name itself if it is one, a path or a wheel.

    Raises BadInput for a name that several distributions share, or that nobody knows.
    """
    if Path(name).exists():
        return str(Path(name).resolve())
    known = sorted({entry.dist for entry in catalogue() if name in (entry.name, entry.dist)})
    if len(known) > 1 and name not in known:
        raise BadInput(f"'{name}' is in several distributions: install one of {', '.join(known)}.")
    if known:
        return name if name in known else known[0]
    if name.startswith("mdkif-"):  # somebody's own, on an index
        return name
    raise unknown("plugin", name, (entry.name for entry in catalogue()), "A path or a wheel can also be installed.")


def install(names: Iterable[str], *, editable: bool = False) -> list[str]:
    """Install plugins by catalogue name, distribution, path or wheel; returns what was given to pip.

    Raises BadInput for an unknown name before anything is installed, MdkifError if pip fails.
    """
    wanted = [distribution_of(name) for name in names]
    arguments = [word for each in wanted for word in (["-e", each] if editable and Path(each).is_dir() else [each])]
    _pip(["install", *arguments])
    return wanted


def uninstall(plugins: Plugins, names: Iterable[str]) -> list[str]:
    """Remove plugins by distribution or by what they provide; returns the distributions.

    Raises BadInput for one that is not installed, or a name that several of them provide.
    """
    found = [_installed(plugins, name) for name in names]
    _pip(["uninstall", "--yes", *found])
    return found


def _installed(plugins: Plugins, name: str) -> str:
    owners = {p.dist for p in plugins.plugins if p.dist == name}
    owners |= {p.dist for p in plugins.plugins if name in (declared.name for declared in p.declarations)}
    if len(owners) > 1 and name not in owners:
        raise BadInput(f"'{name}' is in several distributions: remove one of {', '.join(sorted(owners))}.")
    if not owners:
        have = {p.dist for p in plugins.plugins} | {d.name for p in plugins.plugins for d in p.declarations}
        raise unknown("installed plugin", name, sorted(have))
    return name if name in owners else owners.pop()


def _pip(arguments: Sequence[str]) -> None:
    """Run pip for this interpreter; what it prints goes to stderr."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, stdout=sys.stderr.fileno(), check=False)
    if done.returncode:
        raise MdkifError(f"pip {arguments[0]} failed with exit code {done.returncode}: its last lines say why.")
