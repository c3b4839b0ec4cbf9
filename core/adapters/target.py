"""What a verb is done with: the base, a skill, a composition with its residual or without, or a baseline.

It is found before the model is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from ..contract.declarations import Baseline
from ..data.learnt import Learnt
from ..errors import BadInput
from ..models.base import Base
from ..settings import Settings
from ..workspace import Workspace
from . import composition
from .artifact import Artifact
from .composition import RESIDUAL, Composition, load_residual
from .library import Library, library_of

if TYPE_CHECKING:
    import torch

    from .bank import SkillBank
    from .low_rank import LowRank


BASELINE = "baseline:"
MOST = 1000
"""The largest weight by hand. A blend's are about 1, and a model that is changed by far more overflows."""


@dataclass(frozen=True)
class Target:
    """The base alone, one trained skill, a composition with the versions of the skills it was made of, or a baseline.

    The workspace's base model is loaded when a target is first checked or computed with. A `baseline` is computed by
    its `method`, with the skills it uses.
    """

    name: str
    workspace: Workspace
    artifacts: Mapping[str, Artifact] = field(default_factory=dict)
    made: Composition | None = None
    baseline: Baseline | None = None
    method: Settings | None = None

    @property
    def needs_base(self) -> bool:
        """Whether a base model has a part in it: in all but a baseline that uses records alone."""
        return self.baseline is None or self.baseline.uses != "records"

    @property
    def base(self) -> Base:
        """The base model it is applied to."""
        return self.workspace.base

    def check(self) -> None:
        """Raises BadInput if it was made on another base model, or its residual is not what was saved."""
        if self.made is not None:
            self.made.check(self.base)
            self._residual()
        for artifact in self.artifacts.values():
            artifact.check(self.base)

    @contextmanager
    def applied(self) -> Iterator[Base]:
        """Within the block the base that is yielded computes the target; afterwards the base is as it was."""
        if self.made is not None:
            bank, weights = self.blend()
            with bank.applied(weights):
                yield self.base
        elif self.artifacts:
            [artifact] = self.artifacts.values()
            with artifact.applied(self.base) as adapted:
                yield adapted
        else:
            yield self.base

    def blend(self) -> tuple[SkillBank, torch.Tensor]:
        """A bank of its skills and their weights. Raises BadInput for the base alone, or what cannot be blended."""
        import torch

        if not self.artifacts:
            raise BadInput("The base model alone has nothing to export: name a composition or skill:NAME.")
        if self.made is None:
            return bank_of(self.artifacts, self.base), torch.ones(1)
        bank = bank_of(self.artifacts, self.base, self.made.granularity, self._residual())
        return bank, self.made.tensor(bank)

    def _residual(self) -> dict[str, LowRank]:
        if self.made is None:
            return {}
        return load_residual(self.made, self.workspace.store.compositions(library_of(self.workspace).base))

    @property
    def versions(self) -> dict[str, str]:
        """Each skill's version."""
        return {name: artifact.version for name, artifact in self.artifacts.items()}

    @property
    def learnt(self) -> dict[str, Learnt]:
        """What each part of it learnt from, of those that know."""
        found = learnt_by(self.artifacts)
        if self.made is not None and self.made.learnt:
            found["its router"] = Learnt.read(self.made.learnt)
        return found

    def settings(self, task: str, datasets: set[str]) -> dict[str, Mapping[str, Any]]:
        """What each part of it that learnt from these data sets, or for this task, was made with."""
        found: dict[str, Mapping[str, Any]] = {
            f"the skill '{name}'": artifact.card.get("settings", {})
            for name, artifact in self.artifacts.items()
            if datasets & artifact.datasets
        }
        if self.made is not None and self.made.origin.get("task") == task:
            found["its router"] = self.made.origin.get("settings", {})
        return found


def find(workspace: Workspace, names: Sequence[str | Settings], skills: Sequence[str] | None = None) -> list[Target]:
    """The targets of these names, each file read once, no model loaded. Raises BadInput for an unknown one.

    A name is "base", "skill:NAME", a composition's, "untuned:NAME", which is that composition without its residual, or
    "baseline:NAME". A baseline may also be given as an object; `skills` are those that it may use, by default all that
    can be blended.
    """
    library = cache(lambda: library_of(workspace))
    return [
        _baseline(workspace, library, each, skills)
        if isinstance(each, Settings) or each.startswith(BASELINE)
        else _find(workspace, library(), each)
        for each in names
    ]


def resolve(workspace: Workspace, names: Sequence[str]) -> list[Target]:
    """The targets of these names. Raises BadInput for one that is unknown or does not fit the base model.

    So does a baseline, which is nothing without the records of a task.
    """
    found = find(workspace, names)
    for each in found:
        if each.baseline is not None:
            raise BadInput(f"'{each.name}' learns from the records of a task: measure it with 'mdkif evaluate'.")
        each.check()
    return found


def _baseline(
    workspace: Workspace, library: Callable[[], Library], given: str | Settings, skills: Sequence[str] | None
) -> Target:
    named = given.removeprefix(BASELINE) if isinstance(given, str) else given
    declared, method = workspace.plugins.made(Baseline, named)
    artifacts = library().choose(skills) if declared.uses == "skills" else {}
    return Target(f"{BASELINE}{declared.name}", workspace, artifacts, baseline=declared, method=method)


def _find(workspace: Workspace, library: Library, name: str) -> Target:
    if name == "base":
        return Target(name, workspace)
    if name.startswith("skill:"):
        artifact = library.get(name.removeprefix("skill:"))
        return Target(name, workspace, {artifact.name: artifact})
    untuned = name.startswith("untuned:")
    made = composition.load(name.removeprefix("untuned:"), workspace.store.compositions(library.base))
    if untuned:
        made = replace(made, residual="")
    artifacts = {}
    for skill, version in made.adapters.items():
        trained = {each.version: each for each in library.versions.get(skill, ())}
        if version not in trained:
            raise BadInput(
                f"The composition '{name}' was made with '{skill}@{version}', which is gone: adapt or compose it again."
            )
        artifacts[skill] = trained[version]
    return Target(name, workspace, artifacts, made)


def learnt_by(artifacts: Mapping[str, Artifact]) -> dict[str, Learnt]:
    """What each skill learnt from, by what to call it, of those that know."""
    known = ((f"the skill '{name}'", artifact.learnt) for name, artifact in artifacts.items())
    return {who: learnt for who, learnt in known if learnt is not None}


def bank_of(
    artifacts: Mapping[str, Artifact],
    base: Base,
    granularity: str = "skill",
    residual: Mapping[str, LowRank] | None = None,
) -> SkillBank:
    """A bank of these skills on the base, the last of them what was tuned on top of a blend, if anything was.

    Raises BadInput, by name, for a skill that cannot be blended or does not fit.
    """
    from .bank import SkillBank

    updates: dict[str, Mapping[str, LowRank]] = {name: each.updates(base) for name, each in artifacts.items()}
    return SkillBank(base.model, {**updates, RESIDUAL: residual} if residual else updates, granularity)


def compose(workspace: Workspace, name: str, weights: Mapping[str, float], replace: bool = False) -> Composition:
    """A composition with weights given by hand, of "NAME" or "NAME@VERSION", saved in the store.

    Raises BadInput for skills that are not trained on the base.
    """
    import torch

    composition.validate_name(name)
    for skill, weight in weights.items():
        if not abs(weight) <= MOST:
            raise BadInput(f"The weight of '{skill}' cannot be {weight}: give a number between -{MOST} and {MOST}.")
    artifacts = library_of(workspace).choose(list(weights))
    bank = bank_of(artifacts, workspace.base)
    values = torch.tensor(list(weights.values()))
    made = composition.build(name, workspace.base, artifacts, bank, values, {"by": "hand"})
    save(workspace, made, replace)
    return made


def save(workspace: Workspace, made: Composition, replace: bool = False) -> None:
    """Save a composition in the store, and say so if an older one of its name is kept."""
    kept = composition.save(made, workspace.store.compositions(made.base), replace)
    if kept is not None:
        workspace.progress.note(
            f"The older composition is kept as '{kept.stem}'; 'mdkif remove {kept.stem}' takes it away."
        )
