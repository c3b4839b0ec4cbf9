"""The contract between mdkif and its plugins.

A plugin is a distribution with an entry point in the group `mdkif` that names a module. The module
implements any of these hooks. The first return declarations: what there is and where its code is; they must be cheap,
and import none of torch, transformers, peft and datasets. The others are events of the work, which a plugin may follow;
such a hook takes as many of the arguments as it needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pluggy

from .declarations import Baseline, BaseModel, Command, Dataset, Evaluator, Pack, Recipe, Router, Skill, Task, Trainer

hookspec = pluggy.HookspecMarker("mdkif")
hookimpl = pluggy.HookimplMarker("mdkif")

Stage = Literal["train", "adapt", "evaluate"]
Outcome = Literal["finished", "interrupted", "failed"]


@dataclass(frozen=True, kw_only=True)
class Run:
    """One piece of work that can be followed: stage I of a skill, stage II of a task, or a task's evaluation.

    `id` is unique and can be the name of a file, `name` the skill's or task's, `base` the base model's, or empty where
    none is used. `settings` are those of the stage and of its trainer or router. Nothing here, or in any event, is text
    of a record.
    """

    id: str
    stage: Stage
    name: str
    base: str
    settings: Mapping[str, Any]

    def __str__(self) -> str:
        return self.id


@hookspec
def mdkif_datasets() -> Iterable[Dataset]:  # type: ignore[empty-body]
    """Converters from official distributions to records."""


@hookspec
def mdkif_skills() -> Iterable[Skill]:  # type: ignore[empty-body]
    """Kinds of medical work that can be trained into an adapter (stage I)."""


@hookspec
def mdkif_tasks() -> Iterable[Task]:  # type: ignore[empty-body]
    """Downstream tasks a router can be learnt for and evaluated on (stage II)."""


@hookspec
def mdkif_trainers() -> Iterable[Trainer]:  # type: ignore[empty-body]
    """Ways to train an adapter."""


@hookspec
def mdkif_routers() -> Iterable[Router]:  # type: ignore[empty-body]
    """Optimizers, and fixed references, for the router's weights."""


@hookspec
def mdkif_baselines() -> Iterable[Baseline]:  # type: ignore[empty-body]
    """What a task's results are compared with."""


@hookspec
def mdkif_evaluators() -> Iterable[Evaluator]:  # type: ignore[empty-body]
    """Metrics over predictions."""


@hookspec
def mdkif_models() -> Iterable[BaseModel]:  # type: ignore[empty-body]
    """Base models that `mdkif models pull` can put into the store."""


@hookspec
def mdkif_packs() -> Iterable[Pack]:  # type: ignore[empty-body]
    """Trained skills that come in the distribution, read-only: those of the store go before them."""


@hookspec
def mdkif_recipes() -> Iterable[Recipe]:  # type: ignore[empty-body]
    """Experiments that `mdkif reproduce` can run."""


@hookspec
def mdkif_commands() -> Iterable[Command]:  # type: ignore[empty-body]
    """Subcommands of `mdkif`; a core command cannot be replaced."""


@hookspec
def mdkif_run_began(run: Run) -> None:
    """A run begins."""


@hookspec
def mdkif_stepped(run: Run, step: int, figures: Mapping[str, float]) -> None:
    """An optimizer step of stage I, or an evaluation of candidates by the router of stage II, is done.

    `step` counts from 1, and goes on where a run was interrupted. `figures` are, in stage I, `loss` (nats per answer
    token), `learning_rate` and, for a trainer that changes it, `rank`; in stage II `objective`, the lowest of the
    candidates, and `evaluations`, how many adaptation sets were computed so far.
    """


@hookspec
def mdkif_evaluated(run: Run, target: str, metrics: Mapping[str, float]) -> None:
    """Something was measured on records it was not trained on, or before it was.

    `target` is "base", "skill:NAME", "baseline:NAME" or a composition's name; a router's references have the names
    "uniform" and those of the skills too.
    """


@hookspec
def mdkif_run_ended(run: Run, outcome: Literal["finished", "interrupted", "failed"]) -> None:
    """A run ends: "finished", "interrupted" by the user or "failed"."""
