"""The documentation is true: what it names exists, what it shows runs, and its tables are those of the code.

`python tests/test_docs.py --write` refreshes what is generated.
"""

import ast
import inspect
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import click
import pytest
from documentation import ROOT, SECTIONS, all_commands, context, declarations_section, meanings_of, section, write
from mdkif import AdaptSettings, Toolkit, TrainSettings
from mdkif.cli import main
from mdkif.core.console.app import run
from mdkif.core.contract import hookspecs
from mdkif.core.contract.catalogue import catalogue
from mdkif.core.contract.declarations import KINDS
from mdkif.core.contract.discovery import Plugins
from mdkif.core.contract.explanation import CHANGED
from mdkif_synthetic import generate

WRITTEN = (page for page in (ROOT / "docs").rglob("*.md") if page.parts[len(ROOT.parts) + 1] != "_build")
FRONT = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
PAGES = [*FRONT, *sorted(WRITTEN), *sorted((ROOT / "plugins").glob("*/README.md"))]
OWN = [page for page in PAGES if page.parent in (ROOT, *(ROOT / "docs" / part for part in ("", "concepts", "howto")))]
REFRESH = "run `python tests/test_docs.py --write`"
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def runnable(page: Path) -> list[str]:
    return [code for info, code in FENCE.findall(page.read_text(encoding="utf-8")) if info == "python run"]


@pytest.mark.parametrize("name", SECTIONS)
def test_docs_generated_section_is_that_of_the_code(name):
    _, body, _ = section(name)
    assert body.strip() == SECTIONS[name][1](body).strip(), REFRESH


@pytest.mark.parametrize("name", ["settings", "declarations"])
def test_docs_every_field_has_a_meaning(name):
    empty = [key for key, meaning in meanings_of(section(name)[1]).items() if not meaning]
    assert not empty


def test_docs_new_field_would_be_noticed():
    body = section("declarations")[1]
    lines = body.splitlines()
    cut = next(line for line in lines if line.startswith("| `licence`"))
    shorter = "\n".join(line for line in lines if line != cut)
    again = declarations_section(shorter)
    assert meanings_of(again)["Dataset", "licence"] == ""


def test_docs_every_hook_has_a_heading_with_its_signature():
    text = (ROOT / "docs/plugins.md").read_text(encoding="utf-8")
    hooks = {name: hook for name, hook in vars(hookspecs).items() if name.startswith("mdkif_") and callable(hook)}
    assert len(hooks) == len(KINDS) + 4
    for name, hook in hooks.items():
        signature = inspect.signature(hook)
        given = ", ".join(f"{each.name}: {each.annotation}" for each in signature.parameters.values())
        assert f"\n### `{name}({given}) -> {signature.return_annotation}`\n" in text


def test_docs_every_catalogue_entry_is_named():
    text = "\n".join(page.read_text(encoding="utf-8") for page in OWN)
    assert not [entry for entry in catalogue() if f"`{entry.name}`" not in text]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_docs_relative_link_leads_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file), target


def anchors(page: Path) -> set[str]:
    """The anchors a Markdown page's headings get."""
    titles = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", OWN, ids=lambda page: page.name)
def test_docs_every_named_file_and_function_exists(page):
    """References are written `core/errors.py::BadInput` or, for a file alone, `core/errors.py`."""
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"`((?:core|plugins|tests|templates)/[\w./-]+)(?:::([\w.]+))?`", text)
    missing = [f"{path}::{name}" for path, name in named if not _defined(ROOT / path, name)]
    assert not missing


def test_docs_equations_are_all_read():
    text = (ROOT / "docs/equations.md").read_text(encoding="utf-8")
    numbers = [f"SA {number}" for number in range(1, 15)]
    numbers += [f"STAF {number}" for number in (*range(1, 11), *(f"A.{i}" for i in range(1, 7)))]
    headings = " ".join(re.findall(r"^## (.+)$", text, re.MULTILINE)) + " "
    assert not [number for number in numbers if not re.search(rf"\b{re.escape(number)}[ ,:]", headings)]
    for part in re.split(r"^## (?=.*(?:SA|STAF) )", text, flags=re.MULTILINE)[1:]:
        assert "::" in part, f"no code is named under {part.splitlines()[0]}"


def _defined(path: Path, name: str) -> bool:
    if not path.exists():
        return False
    if not name:
        return True
    body: list[ast.stmt] = ast.parse(path.read_text(encoding="utf-8")).body
    for part in name.split("."):
        found = next((node for node in body if part in _bound(node)), None)
        if found is None:
            return False
        body = found.body if isinstance(found, ast.ClassDef) else []
    return True


def _bound(node: ast.stmt) -> set[str]:
    if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}


def test_docs_changelog_names_everything_that_a_plugin_is_told_has_changed():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert not [name for name in CHANGED if not re.search(rf"`(\w+\.)?{re.escape(name)}\b", text)]


def expanded(script: str) -> str:
    """A shell script's lines with the variables it sets by `NAME="value"` in their places."""
    variables: dict[str, str] = {}
    lines = []
    for line in script.splitlines():
        for name, value in sorted(variables.items(), reverse=True):
            line = line.replace(f"${name}", value)
        if assigned := re.fullmatch(r'([A-Z]+)="?([^"]*)"?', line):
            variables[assigned[1]] = assigned[2]
        lines.append(line)
    return "\n".join(lines)


def command_lines() -> Iterator[tuple[str, list[str]]]:
    """Every command line shown as code, with the page it is on."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        fenced = expanded("\n".join(body for _, body in FENCE.findall(text)).replace("\\\n", " "))
        indented = "\n".join(re.findall(r"^ {4}(\S.*)$", FENCE.sub("", text).replace("\\\n", " "), re.MULTILINE))
        for line in re.findall(r"^(?:\$ )?mdkif +(.*)$", f"{fenced}\n{indented}", re.MULTILINE):
            yield str(page.relative_to(ROOT)), shlex.split(line, comments=True)


def test_docs_every_command_line_shown_is_one_the_program_takes():
    commands, wrong, seen = all_commands(), [], 0
    for page, words in command_lines():
        seen += 1
        while words and words[0].startswith("--store"):
            words = words[2:]
        if words in (["--help"], ["--version"]):
            continue
        name = next((n for n in (" ".join(words[:2]), words[0]) if n in commands), None)
        if name is None:
            wrong.append(f"{page}: no command {words[0]}")
            continue
        command = commands[name]
        ctx = context(name, command)
        try:
            given, rest, _ = command.make_parser(ctx).parse_args(words[len(name.split()) :])
        except click.UsageError as error:
            wrong.append(f"{page}: mdkif {' '.join(words)}: {error.message}")
            continue
        absent = [p.name for p in command.params if p.required and not p.envvar and not given.get(str(p.name))]
        if "--help" not in words and (rest or absent):
            wrong.append(f"{page}: mdkif {' '.join(words)}: too much {rest}, missing {absent}")
    assert seen > 20
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "page",
    [page for page in OWN if re.search(r"^```\w+ run$", page.read_text("utf-8"), re.M)],
    ids=lambda page: page.stem,
)
def test_docs_run_what_they_show(page, tmp_path, monkeypatch):
    """Blocks marked "run" are run in order: Python in one namespace, a console's lines one by one.

    Python that begins with `# name.py` is written to that file.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MDKIF_STORE", str(tmp_path / "mdkif-store"))
    for name in [name for name in sys.modules if name.startswith("mdkif_skill_triage")]:
        monkeypatch.delitem(sys.modules, name)  # another page's plugin of the same name
    monkeypatch.setattr(sys, "path", sys.path[:])
    names: dict[str, Any] = {"__name__": "shown"}
    written = write_modules(page, tmp_path, monkeypatch)
    for info, code in FENCE.findall(page.read_text(encoding="utf-8")):
        if info == "python run" and code not in written.values():
            exec(compile(code, str(page), "exec"), names)
        elif info == "console run":
            for line in code.replace("\\\n", " ").splitlines():
                assert exit_code(line.removeprefix("$ ")) == 0, line


def exit_code(line: str) -> int:
    """Run a line of a console: mdkif in this process, where its libraries are loaded, the rest in a shell."""
    words = shlex.split(line)
    return run(main, words[1:]) if words[0] == "mdkif" else subprocess.run(line, shell=True, check=False).returncode


def test_docs_plugins_shown_work(tmp_path, monkeypatch):
    """What docs/plugins.md shows of each kind does its work beside the installed plugins."""
    monkeypatch.chdir(tmp_path)
    modules = write_modules(ROOT / "docs/plugins.md", tmp_path, monkeypatch)
    shown = [EntryPoint(name=module, value=module, group="mdkif") for module in modules]
    plugins = Plugins([*entry_points(group="mdkif"), *shown])
    assert not [plugin for plugin in plugins.plugins if plugin.dist in modules and plugin.error]
    kit = Toolkit(tmp_path / "store", "tiny", plugins=plugins)
    notes = tmp_path / "notes.tsv"
    notes.write_text("".join(f"Note {i}.\t{('now', 'today', 'later')[i % 3]}\n" for i in range(24)), encoding="utf-8")
    settings = TrainSettings(steps=2, batch_size=2, max_length=128)
    trained = kit.train("triage", {"triage": notes}, trainer="lora-plus", settings=settings)
    assert trained.card["trainer"] == "lora-plus"
    assert trained.card["settings"]["ratio"] == 16.0
    assert [file.suffix for file in Path("losses").iterdir()] == [".tsv"]
    generate(tmp_path / "hospital", seed=0, patients=60)
    questions = {"pubmedqa": tmp_path / "hospital/PubMedQA"}
    adapted = kit.adapt(
        "pubmedqa", questions, router=kit.router("random", evaluations=4), settings=AdaptSettings(shots=3)
    )
    assert adapted.composition.origin["router"] == "random"
    assert adapted.end <= adapted.start
    [echo] = kit.evaluate("pubmedqa", questions, ["baseline:echo"])
    assert echo.metrics["n"] == echo.n > 0


def write_modules(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Write the page's blocks that are files into a folder they can be imported from; module name to code."""
    monkeypatch.syspath_prepend(str(folder))
    named = {found[1]: code for code in runnable(page) if (found := re.match(r"# (\w+)\.py\n", code))}
    for name, code in named.items():
        (folder / f"{name}.py").write_text(code, encoding="utf-8")
        monkeypatch.delitem(sys.modules, name, raising=False)
    return named


if __name__ == "__main__" and "--write" in sys.argv:
    write()
