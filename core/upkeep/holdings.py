"""Everything a store holds, one thing at a time, and what is wrong with each as far as a quick look tells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..adapters import composition
from ..adapters.artifact import CARD, open_artifact
from ..errors import BadInput
from ..evaluation.report import read_report
from ..store.layout import Store
from ..store.manifest import problem


@dataclass(frozen=True)
class Holding:
    """A model, skill, composition, report or unfinished run: what it is, where it lies, and what is wrong with it.

    `remedy` is the verb that makes it again.
    """

    kind: str
    name: str
    path: Path
    wrong: str
    remedy: str


def holdings(store: Store) -> Iterator[Holding]:
    """Everything in a store, whether it can be read or not; what is half-written is no part of it."""
    root = store.root
    for path in _folders(root / "models"):
        wrong = problem(path) if (path / "config.json").exists() else "it has no config.json"
        yield Holding("model", path.name, path, wrong, f"mdkif models pull {path.name}")
    for base in _folders(root / "skills"):
        for path in _folders(base):
            if (path / CARD).exists() or any(path.iterdir()):
                name, of = path.name.partition("@")[0], f"--base {base.name}"
                yield Holding("skill", path.name, path, _asked(open_artifact, path, name), f"mdkif train {name} {of}")
    for path in sorted(root.glob("compositions/*/[!.]*.json")):
        remedy = f"mdkif adapt or compose --base {path.parent.name}"
        yield Holding("composition", path.stem, path, _asked(composition.read, path), remedy)
    for path in sorted(store.reports.glob("[!.]*.json")):
        yield Holding("report", path.stem, path, _asked(read_report, path), "mdkif evaluate")
    for path in _folders(root / "runs"):
        yield Holding("run", path.name, path, _run(path), "the same mdkif train")


def _asked(read: Callable[..., object], *given: object) -> str:
    try:
        read(*given)
    except BadInput as error:
        return str(error)
    return ""


def _run(path: Path) -> str:
    found = sorted(path.glob("[!.]*.safetensors"))
    return problem(path) if found else ""


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.glob("[!.]*") if path.is_dir()) if root.is_dir() else []
