"""Stage II: the router of one task is learnt on its adaptation set, with every skill and the base frozen."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from ..adapters.composition import Composition, bank_of, new_composition, validate_name
from ..contract.declarations import Router, Task
from ..data.conversion import ConversionReport
from ..data.sampling import sample
from ..data.sources import Sources
from ..errors import BadInput
from ..settings import Positive, settings_from
from ..workspace import Workspace
from .objective import ObjectiveSettings, adaptation_objective

if TYPE_CHECKING:
    from ..data.records import Record


@dataclass(kw_only=True)
class AdaptSettings(ObjectiveSettings):
    """Settings of stage II, the same for every router optimizer.

    `setting` few-shot draws `shots` records of `split`, normal `limit` of them (0: as many as there are
    test records, as STAF-LLM does). `split_policy` names one, and `split`, where it is empty, its
    "train" or, for "paper", its "dev". The rest states the objective (`ObjectiveSettings`).
    """

    setting: Literal["few-shot", "normal"] = "few-shot"
    shots: Positive = 32
    limit: int = 0
    split_policy: str = "official"
    split: str = ""
    granularity: Literal["skill", "layer", "module"] = "skill"
    max_length: Positive = 512
    seed: int = 0


@dataclass(frozen=True)
class Adapted:
    """What stage II found: the composition, and the objective at uniform weights, at the start and at the end."""

    composition: Composition
    start: float
    end: float
    uniform: float
    references: Mapping[str, float]
    evaluations: int
    seconds: float


def adapt(
    workspace: Workspace,
    name: str,
    sources: Sources,
    skills: Sequence[str] | None = None,
    router: str = "cma-es",
    settings: Mapping[str, str] | None = None,
    composition: str | None = None,
    skip_bad: bool = False,
    data: Mapping[str, Any] | None = None,
) -> Adapted:
    """Learn the weights of the skills for one task and save them as a composition.

    Base, every single skill and uniform are evaluated first and seed the search, so what a search
    finds is never worse than any of them on the adaptation set. Raises BadInput for wrong names or settings,
    and for a split that is kept for testing.
    """
    started = time.perf_counter()
    task = workspace.plugins.get(Task, name)
    declared = workspace.plugins.get(Router, router)
    optimizer, chosen = settings_from(settings or {}, declared.load(), AdaptSettings)
    made_name = validate_name(composition or f"{name}-{router}")
    encoder = workspace.encoder(task, chosen.max_length)
    drawn = _adaptation_set(workspace, task, sources, chosen, skip_bad, data)
    examples = encoder.encode_all(drawn, f"'{_split(chosen)}' records of '{name}'")
    bank = bank_of(workspace, skills, chosen.granularity)
    objective = adaptation_objective(workspace, task, encoder, bank, examples, chosen)
    found = optimizer.search(objective, chosen.seed, workspace.progress)
    references = {reference.name: reference.value for reference in objective.references}
    origin = {
        "task": name,
        "router": router,
        "settings": {**asdict(chosen), **asdict(optimizer)},
        "data": dict(data or {}),
        "records": len(examples),
        "encoding": dict(encoder.counts),
        "objective": found.value,
        "reference": found.name,
    }
    made = new_composition(workspace, made_name, bank, found.weights, origin)
    start = min(references.values())
    seconds = time.perf_counter() - started
    evaluations = math.ceil(objective.evaluations)
    return Adapted(made, start, found.value, references["uniform"], references, evaluations, seconds)


def _adaptation_set(
    workspace: Workspace,
    task: Task,
    sources: Sources,
    chosen: AdaptSettings,
    skip_bad: bool,
    data: Mapping[str, Any] | None,
) -> list[Record]:
    split = _split(chosen)
    if split == "test":
        raise BadInput(
            f"The router of '{task.name}' cannot be adapted on the test split: its records measure the result."
        )
    size = chosen.shots if chosen.setting == "few-shot" else chosen.limit
    if chosen.setting == "normal" and not size:
        records = workspace.records(task, sources, ConversionReport(skip_bad), data, chosen.split_policy)
        size = sum(record.split == "test" for record in records)
    records = workspace.records(task, sources, ConversionReport(skip_bad), data, chosen.split_policy)
    return sample(records, {split: size}, chosen.seed)[split]


def _split(chosen: AdaptSettings) -> str:
    return chosen.split or ("dev" if chosen.split_policy.startswith("paper") else "train")
