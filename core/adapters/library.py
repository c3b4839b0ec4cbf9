"""The trained skills of a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadInput, unknown
from ..store.documents import read_json
from ..workspace import Workspace
from .low_rank import LowRank
from .peft_files import read_adapter

if TYPE_CHECKING:
    from ..models.base import Base

CARD = "skill.json"


@dataclass(frozen=True)
class TrainedSkill:
    """A trained skill in the store: its directory and what its card says."""

    name: str
    path: Path
    card: Mapping[str, Any]

    def updates(self, base: Base) -> dict[str, LowRank]:
        """Its low-rank updates by module. Raises BadInput if it was trained on another base model."""
        if self.card["fingerprint"] != base.fingerprint:
            raise BadInput(
                f"The skill '{self.name}' was trained on '{self.card['base']}' ({self.card['fingerprint']}), not on "
                f"'{base.name}' ({base.fingerprint}): train it on this base, or use that one."
            )
        return read_adapter(self.path)


def trained_skills(workspace: Workspace, base: str) -> dict[str, TrainedSkill]:
    """Every trained skill of a base model (its name in the store), by name."""
    folder = workspace.store.skills(base)
    cards = sorted(folder.glob(f"[!.]*/{CARD}")) if folder.is_dir() else []
    return {c.parent.name: TrainedSkill(c.parent.name, c.parent, read_json(c, "skill card")) for c in cards}


def load_skills(workspace: Workspace, names: Sequence[str] | None = None) -> dict[str, dict[str, LowRank]]:
    """The updates of the named trained skills, or of all. Raises BadInput if there is none or one is unknown."""
    known = trained_skills(workspace, workspace.base.name)
    chosen = list(known) if names is None else list(dict.fromkeys(names))
    for name in chosen:
        if name not in known:
            raise unknown(
                "trained skill", name, known, f"Train it first: mdkif train {name} --base {workspace.base_name}."
            )
    if not chosen:
        raise BadInput(f"No skill is trained on '{workspace.base.name}' yet: begin with 'mdkif train SKILL'.")
    return {name: known[name].updates(workspace.base) for name in chosen}
