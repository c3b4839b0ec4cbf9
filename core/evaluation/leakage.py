"""Whether a target learnt from what would measure it."""

from __future__ import annotations

from ..adapters.composition import provenance
from ..contract.declarations import Task
from ..data.sources import Sources
from ..errors import BadInput
from ..workspace import Workspace


def check_splits(workspace: Workspace, task: Task, sources: Sources, target: str, policy: str) -> None:
    """Raises BadInput if the target learnt from records that this policy may call test, or is unknown."""
    made = provenance(workspace, target, task.name, set(sources))
    for what, learnt in made.items():
        if learnt != policy:
            raise BadInput(
                f"'{target}' cannot be measured with the split policy '{policy}': {what} was made with '{learnt}', "
                f"whose training records it would be tested on; use --split-policy {learnt}."
            )
