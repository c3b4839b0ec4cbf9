"""Whether a target learnt from what would measure it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..adapters.composition import origins
from ..contract.declarations import Task
from ..data.sources import Sources
from ..errors import BadInput
from ..workspace import Workspace

if TYPE_CHECKING:
    pass


def _check_splits(workspace: Workspace, task: Task, sources: Sources, target: str, policy: str) -> None:
    """Raises BadInput if the target learnt from records that this policy may call test, or is unknown."""
    made = origins(workspace, target, task.name, set(sources))
    for what, learnt in made.items():
        if learnt != policy:
            raise BadInput(
                f"'{target}' cannot be measured with the split policy '{policy}': {what} was made with '{learnt}', "
                f"whose training records it would be tested on; use --split-policy {learnt}."
            )
