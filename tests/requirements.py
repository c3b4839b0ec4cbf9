"""What a wheel asks for, by its metadata, and what its modules import."""

import ast
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import Distribution, PathDistribution, distribution, packages_distributions
from pathlib import Path
from zipfile import Path as Inside
from zipfile import ZipFile

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

INCLUDED = {*sys.stdlib_module_names, "_typeshed"}  # what Python has, and what type checkers have


def closure(name: str, wheels: Path) -> set[str]:
    """A distribution, as in `mdkif` or `mdkif[papers]`, and all that it asks for on this machine, directly or not."""
    first = Requirement(name)
    waiting, seen = [(first.name, frozenset(first.extras))], set()
    while waiting:
        if (each := waiting.pop()) not in seen:
            seen.add(each)
            waiting += _needed(metadata(each[0], wheels), each[1])
    return {each for each, _ in seen}


def declared(name: str, wheels: Path, *, extras: bool = False) -> set[str]:
    """What a distribution asks for, by name; with what only its extras do, if wanted."""
    requirements = map(Requirement, metadata(name, wheels).requires or ())
    return {canonicalize_name(each.name) for each in requirements if extras or "extra" not in str(each.marker)}


def imported(name: str, wheels: Path) -> set[str]:
    """The distributions of everything that the modules of a wheel import, wherever in them."""
    with ZipFile(wheel_of(name, wheels)) as archive:
        modules = [archive.read(file) for file in archive.namelist() if file.endswith(".py")]
    names = {each.partition(".")[0] for module in modules for each in _imports(module)}
    found = {_owners().get(each, [each])[0] for each in names - INCLUDED}
    return {str(canonicalize_name(each)) for each in found} - {name}


def undeclared(name: str, wheels: Path) -> set[str]:
    """What a distribution imports and does not ask for."""
    return imported(name, wheels) - declared(name, wheels, extras=True)


def metadata(name: str, wheels: Path) -> Distribution:
    """The metadata of a wheel or, of a package from elsewhere, those beside this interpreter."""
    if not name.startswith("mdkif"):
        return distribution(name)
    (folder,) = (each for each in Inside(wheel_of(name, wheels)).iterdir() if each.name.endswith(".dist-info"))
    return PathDistribution(folder)


def wheel_of(name: str, wheels: Path) -> Path:
    """The wheel of a distribution."""
    (found,) = wheels.glob(f"{name.replace('-', '_')}-*.whl")
    return found


def _needed(asking: Distribution, extras: frozenset[str]) -> Iterator[tuple[str, frozenset[str]]]:
    for wanted in map(Requirement, asking.requires or ()):
        if wanted.marker is None or any(wanted.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield canonicalize_name(wanted.name), frozenset(wanted.extras)


def _imports(module: bytes) -> Iterator[str]:
    for node in ast.walk(ast.parse(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module or ""


@cache
def _owners() -> Mapping[str, list[str]]:
    return packages_distributions()
