"""The tests of the plugins here: each begins with the kit, shows a whole prompt, and needs the public API only."""

import ast
import re
from pathlib import Path

import pytest

PLUGINS = Path(__file__).resolve().parent.parent / "plugins"
FOLDERS = sorted(path.parent for path in PLUGINS.glob("*/pyproject.toml"))
SAMPLE_MOST = 80_000


def modules(folder: Path) -> list[ast.Module]:
    return [ast.parse(path.read_text(encoding="utf-8")) for path in sorted((folder / "tests").glob("*.py"))]


def imported(tree: ast.Module) -> set[str]:
    nodes = list(ast.walk(tree))
    whole = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return whole | {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}


def called(tree: ast.Module) -> set[tuple[str, object]]:
    """The functions that are called by name with a literal as their first argument, and that."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    with_literals = [call for call in calls if call.args and isinstance(call.args[0], ast.Constant)]
    return {(call.func.id, call.args[0].value) for call in with_literals}  # type: ignore[attr-defined]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_plugin_is_tested_by_the_kit_through_the_public_api(folder):
    trees = modules(folder)
    assert not {name for tree in trees for name in imported(tree) if re.match(r"mdkif\.(core|cli)\b", name)}
    assert ("assert_conforms", f"mdkif-{folder.name}") in {call for tree in trees for call in called(tree)}


@pytest.mark.parametrize("folder", [f for f in FOLDERS if f.name.startswith(("skill-", "task-"))],
                         ids=lambda folder: folder.name)  # fmt: skip
def test_skill_or_task_shows_the_prompt_of_a_sample_in_full(folder):
    [tree] = modules(folder)
    [golden] = [node for node in tree.body if getattr(node, "name", "") == "test_prompt_of_the_sample"]
    texts = {node.left.attr: node.comparators[0].value for node in ast.walk(golden)
             if isinstance(node, ast.Compare) and isinstance(node.left, ast.Attribute)
             and isinstance(node.comparators[0], ast.Constant)}  # fmt: skip
    assert set(texts) == {"prompt", "answer"}
    assert min(len(text.strip()) for text in texts.values()) > 0
    assert ("instructions_of", folder.name.partition("-")[2]) in called(tree)


@pytest.mark.parametrize("sample", sorted(PLUGINS.glob("*/mdkif_*/sample/*")), ids=lambda path: path.name)
def test_sample_is_small_and_says_that_it_is_invented(sample):
    files = [path for path in sample.rglob("*") if path.is_file()]
    assert "SYNTHETIC" in " ".join(path.name for path in files)
    assert sum(path.stat().st_size for path in files) <= SAMPLE_MOST
