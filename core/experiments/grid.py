"""The grid of an experiment: which cells every method has on every task, in every setting and with every seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from ..adapters.target import BASELINE
from ..contract.declarations import Baseline, Evaluator, LazySpec, PromptedSpec, Router, Skill, Task, Trainer
from ..errors import BadInput
from ..evaluation.settings import EvaluateSettings
from ..evaluation.statistics import Seed
from ..routing.optimizer import AdaptSettings
from ..settings import made_with
from ..training.settings import TrainSettings
from .cells import Cell, Job, Training
from .laboratory import BASE, RECORDS, Laboratory, settings_of
from .recipe import Experiment, Method

ORACLE, CORRESPONDING = "oracle", "corresponding"
TRAINER = "adalora"


@dataclass(frozen=True)
class Place:
    """Where a number stands: method and task, setting, the value of what is varied, and the seeds."""

    method: str
    task: str
    setting: str
    x: str
    seed: Seed


@dataclass
class Grid:
    """The places of an experiment and the cells of each: one, or of an oracle as many as it chooses from.

    `missing` are skills and tasks that were left out, each with a sentence that says what they need.
    """

    experiment: Experiment
    places: dict[Place, list[Cell]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    def jobs(self, laboratory: Laboratory) -> list[Job]:
        """Every job once, after all that it needs, seed by seed."""
        found: dict[str, Job] = {}
        for place in sorted(self.places, key=lambda each: each.seed):
            for cell in self.places[place]:
                jobs: list[Job] = [*cell.needs, cell]
                for job in jobs:
                    found.setdefault(laboratory.key(job), job)
        return list(found.values())


def plan(experiment: Experiment, laboratory: Laboratory) -> Grid:
    """The grid of a recipe. Raises BadInput for a name or setting that is wrong, or if there are no data at all."""
    return _Planner(experiment, laboratory).grid()


class _Planner:
    def __init__(self, experiment: Experiment, laboratory: Laboratory) -> None:
        self.recipe, self.laboratory = experiment, laboratory
        self.plugins = laboratory.workspace.plugins
        self.made = Grid(experiment)
        self.trainings: dict[str, Training] = {}
        self.skills = [name for name in experiment.skills if self._has_data(self.plugins.get(Skill, name))]

    def grid(self) -> Grid:
        """All places, of the tasks whose data are there."""
        counted = all(method.run in (RECORDS, "") for method in self.recipe.methods)
        tasks = [self.plugins.get(PromptedSpec if counted else Task, name) for name in self.recipe.tasks]
        methods = [method for method in self.recipe.methods if method.run and self._installed(method)]
        for task in tasks:
            if self._has_data(task):
                for method in methods:
                    if not method.tasks or task.name in method.tasks:
                        self._places(method, task)
        if not self.made.places:
            raise BadInput(" ".join(self.made.missing) or f"The recipe {self.recipe.where} measures nothing.")
        return self.made

    def _installed(self, method: Method) -> bool:
        """Whether a baseline, or the skills that a method has of its own, are there; if not, that is told."""
        try:
            if method.run.startswith(BASELINE):
                self.plugins.get(Baseline, method.run.removeprefix(BASELINE))
            return all(self._has_data(self.plugins.get(Skill, name)) for name in method.skills)
        except BadInput as error:
            self.made.missing.append(f"{method.name}: {error}")
            return False

    def _has_data(self, declared: PromptedSpec) -> bool:
        try:
            return bool(self.laboratory.sources_of(declared))
        except BadInput as error:
            self.made.missing += [str(error)] if str(error) not in self.made.missing else []
            return False

    def _places(self, method: Method, task: PromptedSpec) -> None:
        varied, values = self.recipe.varied
        for setting in method.settings or self.recipe.settings:
            for x in values:
                for skills in self.recipe.skill_seeds:
                    for adaptation in self.recipe.adaptation_seeds:
                        place = Place(method.name, task.name, setting, x, (skills, adaptation))
                        if cells := list(self._cells(method, task, place, varied)):
                            self.made.places[place] = cells

    def _cells(self, method: Method, task: PromptedSpec, place: Place, varied: str) -> Iterator[Cell]:
        """The cells of one place; none of a method that has nothing to do there."""
        recipe = self.recipe
        data = {name: str(value) for name, value in recipe.data.get(task.name, {}).items()}
        if varied.startswith("data."):
            data[varied.removeprefix("data.")] = place.x
        evaluation = self._evaluation(task)
        common: dict[str, Any] = {"task": task.name, "data": data, "evaluation": evaluation}
        names = self._chosen(method, place, varied)
        if method.run in (RECORDS, BASE):
            yield Cell(run=method.run, **common)
        elif method.run.startswith("skill:"):
            wanted = method.run.removeprefix("skill:")
            alone = names if wanted == ORACLE else self._corresponding(task) if wanted == CORRESPONDING else [wanted]
            for name in alone:
                yield Cell(run=f"skill:{name}", needs=(self._training(method, name, place.seed[0]),), **common)
        elif method.run.startswith(BASELINE):
            yield from self._baseline(method, task, place, names, common)
        elif names:
            needs = tuple(self._training(method, name, place.seed[0]) for name in names)
            own, adaptation = self._settings(method, place, self.plugins.get(Router, method.run))
            yield Cell(run=method.run, needs=needs, own=own, adaptation=adaptation, **common)

    def _chosen(self, method: Method, place: Place, varied: str) -> list[str]:
        """The skills that are blended at a place, in the order listed."""
        names = list(method.skills) or self.skills
        if varied == "without":
            return [name for name in names if name != place.x]
        if varied != "skills":
            return names
        order = list(names)
        if self.recipe.order == "random":
            random.Random(str(place.seed)).shuffle(order)
        return [name for name in names if name in order[: int(place.x)]]

    def _corresponding(self, task: PromptedSpec) -> list[str]:
        """The recipe's first skill that learns from a data set of the task; none of a task that no skill saw."""
        reads = {source.dataset for source in task.sources}
        shared = [name for name in self.skills
                  if reads & {source.dataset for source in self.plugins.get(Skill, name).sources}]  # fmt: skip
        return shared[:1]

    def _training(self, method: Method, skill: str, seed: int) -> Training:
        given = {**self.recipe.train, **method.train, "seed": seed}
        trainer = str(given.pop("trainer", TRAINER))
        key = repr((skill, trainer, sorted(given.items(), key=str)))
        if key not in self.trainings:
            cls = self.plugins.get(Trainer, trainer).load()
            own, loop = settings_of(cls, TrainSettings, given, f"{self.recipe.where}, train")
            self.trainings[key] = Training(skill=skill, trainer=trainer, method=own, loop=loop)
        return self.trainings[key]

    def _settings(self, method: Method, place: Place, declared: LazySpec) -> tuple[dict[str, Any], dict[str, Any]]:
        """The settings of a router or baseline, and those of the adaptation."""
        given = {**self.recipe.adapt, **method.set, "setting": place.setting, "seed": place.seed[1]}
        varied, _ = self.recipe.varied
        if varied and varied not in ("skills", "without") and not varied.startswith("data."):
            given[varied] = next(value for value in self.recipe.vary[varied] if str(value) == place.x)
        where = f"{self.recipe.where}, {method.name}"
        own, adaptation = settings_of(declared.load(), AdaptSettings, given, where)
        return own | {name: value for name, value in self.recipe.budget.items() if name in own}, adaptation

    def _baseline(
        self, method: Method, task: PromptedSpec, place: Place, names: list[str], common: dict[str, Any]
    ) -> Iterator[Cell]:
        """A baseline learns from the shots that a router does or, in the normal setting, from all training records."""
        declared = self.plugins.get(Baseline, method.run.removeprefix(BASELINE))
        judges = self.plugins.get(Evaluator, task.evaluator).judges if isinstance(task, Task) else ""
        if declared.takes and (declared.takes == "options") != (judges == "options"):
            return
        own, adaptation = self._settings(method, place, declared)
        learning = {"shots": adaptation["shots"] if place.setting == "few-shot" else 0, "shots_seed": place.seed[1]}
        needs = [self._training(method, name, place.seed[0]) for name in names if declared.uses == "skills"]
        yield Cell(run=method.run, needs=tuple(needs), own=own,
                   **common | {"evaluation": common["evaluation"] | learning})  # fmt: skip

    def _evaluation(self, task: PromptedSpec) -> dict[str, Any]:
        try:
            return asdict(made_with(EvaluateSettings, **self.recipe.evaluate))
        except BadInput as error:
            raise BadInput(f"In the recipe {self.recipe.where}, evaluate: {error}") from None
