"""The contract between mdkif and its plugins.

A plugin is a distribution with an entry point in the group `mdkif` that names a module. The module
implements any of these hooks, each of which returns declarations: what there is and where its code is.
Hooks must be cheap; they import none of torch, transformers, peft and datasets.
"""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from .declarations import BaseModel, Command, Dataset, Evaluator, Router, Skill, Task, Trainer

hookspec = pluggy.HookspecMarker("mdkif")
hookimpl = pluggy.HookimplMarker("mdkif")


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
def mdkif_evaluators() -> Iterable[Evaluator]:  # type: ignore[empty-body]
    """Metrics over predictions."""


@hookspec
def mdkif_models() -> Iterable[BaseModel]:  # type: ignore[empty-body]
    """Base models that `mdkif models pull` can put into the store."""


@hookspec
def mdkif_commands() -> Iterable[Command]:  # type: ignore[empty-body]
    """Subcommands of `mdkif`; a core command cannot be replaced."""
