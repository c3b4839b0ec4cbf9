"""Where everything lies in a store: models, skills, compositions, runs, caches and reports."""

from __future__ import annotations

import os
from pathlib import Path

from .files import make_private, refused
from .leftovers import part_of


def is_name(name: object) -> bool:
    """Whether something can be the name of a file in a folder, and of nothing outside it."""
    return (
        isinstance(name, str)
        and 0 < len(name) <= 200
        and name.isprintable()
        and not name.startswith(".")
        and not set(name) & set("/\\")
    )


def default_store() -> Path:
    """`$MDKIF_STORE`, or `./mdkif-store`."""
    return Path(os.environ.get("MDKIF_STORE") or "mdkif-store")


class Store:
    """Where things lie under the root of a store; directories are made only when something is written."""

    def __init__(self, root: Path | str | None = None, templates: Path | None = None) -> None:
        self.root = Path(root) if root is not None else default_store()
        self._templates = templates

    def check_writable(self) -> None:
        """Raises MdkifError, naming the store, if nothing can be written there: before hours of work, not after."""
        with refused(self.root):
            make_private(self.root)
            probe = part_of(self.root.joinpath("probe"))
            probe.touch(mode=0o600)
            probe.unlink()

    @property
    def templates(self) -> Path:
        """The user's own templates, which take precedence over the plugins'."""
        return self._templates or self.root / "templates"

    def experiment(self, name: str) -> Store:
        """A store within this one, of the same templates, for what an experiment makes with one seed of the skills."""
        return Store(self.root / "experiments" / "made" / name, self.templates)

    def cell(self, key: str) -> Path:
        """The JSON file of what one cell of an experiment, or the training of a skill for it, came to."""
        return self.root / "experiments" / "cells" / f"{key}.json"

    def model(self, name: str) -> Path:
        """The Hugging Face directory of a pulled base model."""
        return self.root / "models" / name

    def skills(self, base: str) -> Path:
        """The adapters trained on a base model, one directory each."""
        return self.root / "skills" / base

    def skill(self, base: str, name: str) -> Path:
        """The PEFT adapter directory of one trained skill."""
        return self.skills(base) / name

    def compositions(self, base: str) -> Path:
        """The compositions of a base model, one file each."""
        return self.root / "compositions" / base

    def composition(self, base: str, name: str) -> Path:
        """The JSON file of one composition."""
        return self.compositions(base) / f"{name}.json"

    def run(self, name: str) -> Path:
        """The directory of unfinished work, from which it resumes."""
        return self.root / "runs" / name

    def evaluation_cache(self, base: str, name: str) -> Path:
        """The file of what stage II evaluated on one adaptation set."""
        return self.root / "cache" / base / f"{name}.jsonl"

    def draws(self, key: str, metric: str) -> Path:
        """The JSON file of a cell's metric in the draws of a bootstrap."""
        return self.root / "experiments" / "draws" / f"{key}-{metric}.json"

    @property
    def reports(self) -> Path:
        """The reports of evaluations, one file each."""
        return self.root / "reports"

    def report(self, name: str) -> Path:
        """The JSON file of one evaluation."""
        return self.reports / f"{name}.json"
