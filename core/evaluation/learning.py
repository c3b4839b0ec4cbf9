"""What baselines learn from: records of the task that none of the tested ones is, or is related to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..adapters.library import library_of
from ..contract.declarations import Task
from ..data.conversion import ConversionReport
from ..data.learnt import Learnt
from ..data.records import Record
from ..data.sources import Sources
from ..errors import BadInput
from ..routing.adapt import adaptation_set
from ..routing.optimizer import AdaptSettings
from ..workspace import Workspace
from .settings import EvaluateSettings

if TYPE_CHECKING:
    from ..adapters.artifact import Artifact

MOST = 20_000
CALIBRATION = 32


def learning_set(
    workspace: Workspace,
    task: Task,
    sources: Sources,
    settings: EvaluateSettings,
    tested: Sequence[Record],
    report: ConversionReport,
    *,
    skills: Sequence[str] | None = None,
    data: Mapping[str, Any] | None = None,
) -> list[Record]:
    """The adaptation set that `adapt` draws for `settings.shots`, or for 0 all training records, at most `MOST`.

    Records that are tested, have the text of one that is, or are of a group of theirs, are left out, which is said.
    Raises BadInput if none is left.
    """
    if settings.shots:
        chosen = _few(settings, settings.shots)
        drawn = adaptation_set(workspace, task, sources, chosen, _blended(workspace, skills), report, data)
    else:
        drawn = workspace.drawn(
            task, sources, {"train": MOST}, settings.learning_seed, report, data, settings.split_policy, reserve=0.0
        )["train"]
    found = apart(drawn, tested)
    if not found:
        raise BadInput(
            f"There is no record of '{task.name}' that a baseline could learn from, and that is not tested: measure on "
            "the split 'test', or give records for training."
        )
    if len(found) < len(drawn):
        workspace.progress.note(
            f"Baselines learn from {len(found)} of {len(drawn)} records: the others are tested, or related to such."
        )
    return found


def calibration_set(
    workspace: Workspace,
    task: Task,
    sources: Sources,
    settings: EvaluateSettings,
    tested: Sequence[Record],
    *,
    skills: Sequence[str] | None = None,
    data: Mapping[str, Any] | None = None,
) -> list[Record]:
    """What thresholds are set by: the adaptation set of `settings.shots` records, or of `CALIBRATION`, if there is one.

    What is tested, or related to it, is left out.
    """
    chosen, report = _few(settings, settings.shots or CALIBRATION), ConversionReport(skip_bad=True)
    drawn: list[Record] = []
    with suppress(BadInput):  # no record of the task is kept for its router
        drawn = adaptation_set(workspace, task, sources, chosen, _blended(workspace, skills), report, data)
    return apart(drawn, tested)


def _few(settings: EvaluateSettings, shots: int) -> AdaptSettings:
    return AdaptSettings(shots=shots, seed=settings.learning_seed, split_policy=settings.split_policy)


def apart(records: Sequence[Record], tested: Sequence[Record]) -> list[Record]:
    """The records that are none of the tested ones, have none's text, and are of none's group."""
    known, groups = Learnt.of(tested, "tested"), {record.group for record in tested}
    return [record for record in records if record.group not in groups and not known.has(record)]


def _blended(workspace: Workspace, skills: Sequence[str] | None) -> Mapping[str, Artifact]:
    """The skills that a router would blend: where one learnt from the task's data, adaptation keeps apart from it."""
    if workspace.base_name is None:
        return {}
    library = library_of(workspace)
    return library.choose(skills) if library.versions else {}
