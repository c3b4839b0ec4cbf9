"""What a person should know of this installation when something does not work, each with its remedy."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version

from ..contract.catalogue import entry_of
from ..contract.declarations import Dataset, Declaration, Evaluator, PromptedSpec, Router, Skill, Task, Trainer
from ..contract.discovery import SLOW, Plugins
from ..errors import MdkifError
from ..upkeep import repair
from ..upkeep.holdings import holdings
from ..workspace import Workspace

REQUIRED = ("torch", "transformers", "peft", "datasets", "pluggy", "click", "jinja2", "rich", "safetensors")
LEAST_DISK = 5 << 30


@dataclass(frozen=True)
class Line:
    """One thing that was looked at: what it is, whether it is well, and what to do if it is not."""

    what: str
    found: str
    ok: bool = True
    remedy: str = ""


def examine(workspace: Workspace) -> Iterator[Line]:
    """Interpreter, packages, extras, plugins, store, disk, device and threads of this installation."""
    yield Line("python", f"{platform.python_version()} at {sys.executable}")
    for name in ("mdkif", *REQUIRED):
        yield _package(name)
    yield from _extras()
    yield from _plugins(workspace)
    yield from _parts(workspace.plugins)
    yield from _store(workspace)
    yield from _device(workspace)


def _package(name: str) -> Line:
    try:
        return Line(name, version(name))
    except PackageNotFoundError:
        return Line(name, "missing", False, f"pip install {name}")


def _extras() -> Iterator[Line]:
    """What mdkif can use and does not need; one that is missing is no fault."""
    for requirement in requires("mdkif") or ():
        if found := re.match(r"(?!mdkif)([\w.-]+).*extra == ['\"]([\w-]+)['\"]", requirement):
            name, extra = found.groups()
            line = _package(name)
            yield line if line.ok else Line(name, "missing, and optional", True, f"pip install 'mdkif[{extra}]'")


def _plugins(workspace: Workspace) -> Iterator[Line]:
    found = workspace.plugins.plugins
    failed = [plugin for plugin in found if plugin.error]
    remedy = "install a trainer, a skill and a model plugin: 'mdkif list --available' names them"
    yield Line("plugins", f"{len(found) - len(failed)} work", bool(found), "" if found else remedy)
    for plugin in failed:
        yield Line(plugin.dist, f"failed: {plugin.error}", False, plugin.remedy)
    for plugin in (plugin for plugin in found if plugin.seconds > SLOW):
        remedy = "let its module import what is slow inside functions"
        yield Line(plugin.dist, f"took {plugin.seconds:.1f} s to load", False, remedy)


def _parts(plugins: Plugins) -> Iterator[Line]:
    """What installed skills and tasks cannot work without, and is not installed."""
    needed: dict[tuple[type[Declaration], str], list[str]] = defaultdict(list)
    for declared, _ in plugins.all(PromptedSpec):
        for source in declared.sources:
            needed[Dataset, source.dataset].append(f"{declared.kind} {declared.name}")
        if isinstance(declared, Task):
            needed[Evaluator, declared.evaluator].append(f"task {declared.name}")
    for (cls, name), by in needed.items():
        if all(declared.name != name for declared, _ in plugins.all(cls)):
            remedy = str(plugins.missing(cls, name)) if entry_of(cls.kind, name) else "install the plugin that has it"
            yield Line(f"{cls.kind} {name}", f"missing, needed by {', '.join(by)}", False, remedy)
    tools: list[tuple[type[Declaration], type[Declaration], str]]
    tools = [(Skill, Trainer, "train"), (Task, Router, "adapt")]
    for kind, tool, done in tools:
        if plugins.all(kind) and not plugins.all(tool):
            remedy = f"'mdkif list {tool.kind}s --available' names them"
            yield Line(f"{tool.kind}s", f"none, so 'mdkif {done}' cannot work", False, remedy)


def _store(workspace: Workspace) -> Iterator[Line]:
    root = workspace.store.root.resolve()
    place = next(folder for folder in (root, *root.parents) if folder.exists())
    writable = os.access(place, os.W_OK)
    every = list(holdings(workspace.store))
    count = Counter(each.kind for each in every if not each.wrong)
    held = f"{count['model']} models, {count['skill']} skills"
    yield Line("store", f"{root}: {held}", writable, "" if writable else "give another with --store or $MDKIF_STORE")
    free = shutil.disk_usage(place).free
    remedy = "" if free >= LEAST_DISK else "free some: a base model of 7 billion parameters takes 14 GB"
    yield Line("disk", f"{free / (1 << 30):.0f} GB free", free >= LEAST_DISK, remedy)
    for each in (each for each in every if each.wrong):
        remedy = f"'mdkif doctor --repair' sets it aside, and '{each.remedy}' makes it again"
        yield Line(f"{each.kind} {each.name}", f"broken: {each.wrong}", False, remedy)
    if left := repair.left(workspace.store):
        found = f"{len(left)} half-written by processes that are gone, the first {left[0]}"
        yield Line("leftovers", found, False, "'mdkif doctor --repair' takes them away")
    if by := [f"{file.name[1:-5]} by {holder}" for file, holder in repair.locks(workspace.store) if holder]:
        yield Line("at work", "; ".join(by))
    unfinished = [each.name for each in every if each.kind == "run" and not each.wrong]
    if unfinished:
        yield Line("unfinished", ", ".join(unfinished), True, "run the same command again to go on")


def _device(workspace: Workspace) -> Iterator[Line]:
    from ..models.devices import choose_device, choose_dtype

    try:
        device = choose_device(workspace.device)
        chosen = f"{choose_dtype(workspace.dtype, device)}".removeprefix("torch.")
        named = workspace.dtype is None and os.environ.get("MDKIF_DTYPE")
        yield Line("device", f"{device.type}, {chosen}" + " by MDKIF_DTYPE" * bool(named))
    except (MdkifError, ImportError) as error:
        yield Line("device", "unknown", False, str(error))
    policy = os.environ.get("OMP_WAIT_POLICY", "")
    yield Line("threads", f"{os.cpu_count()} processors, OMP_WAIT_POLICY={policy or 'unset'}")
