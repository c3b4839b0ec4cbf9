"""The cells of an experiment: one skill trained, or one method measured on one task, each by a key of all it needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

Table = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Training:
    """A skill trained with one seed: what every cell that uses it waits for."""

    kind: ClassVar[str] = "training"
    skill: str
    trainer: str
    method: Table
    loop: Table

    @property
    def title(self) -> str:
        """What is shown while it is computed."""
        return f"skill {self.skill}, seed {self.loop['seed']}"

    @property
    def needs(self) -> tuple[Training, ...]:
        """Nothing comes before it."""
        return ()

    @property
    def facts(self) -> dict[str, Any]:
        """All that it is asked to do, as JSON values."""
        return {"skill": self.skill, "trainer": self.trainer, "method": dict(self.method), "loop": dict(self.loop)}


@dataclass(frozen=True, kw_only=True, eq=False)
class Cell:
    """One method on one task: `run` as in a recipe, with the skills it uses, and every setting it depends on.

    `adaptation` are the settings of stage II, `own` those of the router or baseline, `data` the converters' options.
    """

    kind: ClassVar[str] = "cell"
    task: str
    run: str
    needs: tuple[Training, ...] = ()
    adaptation: Table = field(default_factory=dict)
    own: Table = field(default_factory=dict)
    evaluation: Table = field(default_factory=dict)
    data: Table = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What is shown while it is computed."""
        skills = f" of {len(self.needs)} skills" if len(self.needs) > 1 else ""
        return f"{self.run}{skills} on {self.task}"

    @property
    def facts(self) -> dict[str, Any]:
        """All that it is asked to do, as JSON values; what it needs has keys of its own."""
        return {name: value if isinstance(value, str) else dict(value) for name, value in vars(self).items()
                if name != "needs"}  # fmt: skip


Job = Training | Cell


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a job came to: of a training the skill's version, of a cell its metrics and where its report lies.

    `report` is relative to the store, and empty where records were only counted. `weights` and `figures` are a
    router's, with what else there is to tell.
    """

    key: str
    facts: Mapping[str, Any]
    seconds: float
    version: str = ""
    place: str = ""
    n: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)
    report: str = ""
    weights: Mapping[str, float] = field(default_factory=dict)
    figures: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """It as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Failure:
    """Why a job came to nothing, in one sentence."""

    title: str
    reason: str
