"""Whether a target may be measured here: not on what it learnt from, nor with prompts it was not made with."""

from __future__ import annotations

from ..adapters.target import Target
from ..contract.declarations import Task
from ..data.sources import Sources
from ..errors import BadInput
from ..prompts.encoding import Encoder


def check_splits(target: Target, task: Task, sources: Sources, policy: str) -> None:
    """Raises BadInput if the target learnt from records that this policy may call test."""
    for what, settings in target.settings(task.name, set(sources)).items():
        learnt = settings.get("split_policy", "official")
        if learnt != policy:
            raise BadInput(
                f"'{target.name}' cannot be measured with the split policy '{policy}': {what} was made with "
                f"'{learnt}', whose training records it would be tested on; use --split-policy {learnt}."
            )


def check_task_prompts(target: Target, task: Task, encoder: Encoder) -> None:
    """Raises BadInput if the router of this task was learnt with another format of prompts, or another wording."""
    origin = target.made.origin if target.made is not None else {}
    if origin.get("task") != task.name:
        return
    if origin.get("format", encoder.prompt_format) != encoder.prompt_format:
        raise BadInput(
            f"'{target.name}' was adapted with {origin['format']} prompts, and these are {encoder.prompt_format}: "
            f"add --format {origin['format']}, or adapt again."
        )
    if origin.get("template", encoder.template.digest) != encoder.template.digest:
        raise BadInput(
            f"'{target.name}' was adapted with another wording of the template '{task.template}': "
            "restore that, or adapt again."
        )
