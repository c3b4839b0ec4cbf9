"""The house of core/: rooms in the order the data takes, and imports that go one way only."""

import ast
import tomllib
from pathlib import Path

import mdkif
import pytest

CORE = Path(mdkif.__file__).parent / "core"
ORDER = (
    "errors", "settings", "progress", "hashing",
    "store", "contract", "data", "models", "prompts", "workspace",
    "adapters", "inference", "training", "tuning", "routing", "evaluation", "export", "experiments",
    "upkeep", "cards", "inspection", "conformance", "toolkit", "console", "commands",
)  # fmt: skip
ROOMS = [name for name in ORDER if (CORE / name).is_dir()]
MODULES = sorted(CORE.rglob("*.py"))
LONGEST, MEDIAN = 300, 120


def place(path: Path) -> tuple[str, ...]:
    return path.relative_to(CORE).with_suffix("").parts


def imported(path: Path) -> set[str]:
    """The rooms, and modules beside them, that a module of the core imports anywhere, for types alone too."""
    package, found = list(place(path)[:-1]), set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) + 1 - node.level]
            named = [*base, *(node.module or "").split(".")] if node.module else base
            found |= {named[0]} if named else {alias.name for alias in node.names}
    return found


def test_order_names_every_room_and_module_of_the_core():
    there = {path.name if path.is_dir() else path.stem for path in CORE.iterdir() if path.name[0] not in "_."}
    assert there == set(ORDER)


def test_packages_of_the_distribution_are_the_rooms():
    project = tomllib.loads((CORE.parent / "pyproject.toml").read_text(encoding="utf-8"))
    named = {name.removeprefix("mdkif.core.") for name in project["tool"]["setuptools"]["packages"]}
    assert named == {"mdkif", "mdkif.core", *ROOMS}


@pytest.mark.parametrize("path", [p for p in MODULES if p.parent != CORE or p.stem != "__init__"],
                         ids=lambda path: ".".join(place(path)))  # fmt: skip
def test_module_imports_only_from_rooms_before_its_own(path):
    own = place(path)[0]
    later = {name for name in imported(path) if ORDER.index(name) > ORDER.index(own)}
    assert later == set()


def test_modules_of_a_room_do_not_import_each_other_in_a_circle():
    for room in ROOMS:
        files = {path.stem: path for path in (CORE / room).glob("[!_]*.py")}
        uses = {name: siblings(path) & set(files) for name, path in files.items()}
        while free := [name for name, needs in uses.items() if not needs & set(uses)]:
            for name in free:
                del uses[name]
        assert uses == {}, f"{room}: {', '.join(sorted(uses))} import each other"


def siblings(path: Path) -> set[str]:
    nodes = [n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.ImportFrom)]
    near = [node for node in nodes if node.level == 1]
    return {node.module for node in near if node.module} | {a.name for n in near if not n.module for a in n.names}


@pytest.mark.parametrize("room", ROOMS)
def test_room_holds_three_to_nine_modules(room):
    assert 3 <= len(list((CORE / room).glob("[!_]*.py"))) <= 9


def test_files_of_the_core_are_short():
    sizes = sorted(len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES if path.stem != "__init__")
    assert sizes[-1] <= LONGEST
    assert sizes[len(sizes) // 2] <= MEDIAN
