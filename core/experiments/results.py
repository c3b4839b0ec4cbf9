"""What an experiment came to: mean and spread of every entry, the paper's number beside it, and what may be claimed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ..contract.declarations import Evaluator, Task
from ..errors import BadInput
from ..evaluation.measured import Measured, measured
from ..evaluation.statistics import Difference, Seed, Seeds, compare, mean_sd
from ..store.documents import read_json, write_json
from .cells import Failure, Result
from .grid import ORACLE, Grid, Place
from .laboratory import RECORDS, Laboratory
from .recipe import Experiment, Method


@dataclass(frozen=True)
class Row:
    """A method in one of the settings; `bound` is true of an upper bound, which is no competitor."""

    method: str
    setting: str
    bound: bool = False


@dataclass(frozen=True)
class Column:
    """A metric of a task, at one value of what is varied."""

    task: str
    metric: str
    x: str = ""


@dataclass
class Entry:
    """The values by cell, the paper's number, and the difference from the method that it is compared with.

    A method that does not depend on a seed has one cell for all of them.
    """

    values: dict[str, float] = field(default_factory=dict)
    paper: float | None = None
    n: int = 0
    difference: Difference | None = None

    @property
    def mean(self) -> float | None:
        """The mean over cells, None without a value."""
        return mean_sd(list(self.values.values()))[0] if self.values else None

    @property
    def sd(self) -> float | None:
        """The standard deviation over cells, None of fewer than two."""
        return mean_sd(list(self.values.values()))[1] if self.values else None


@dataclass(frozen=True)
class Claim:
    """That one method is better than another, in a column; whether that `holds`, by the difference of the two."""

    better: str
    worse: str
    setting: str
    column: Column
    difference: Difference
    holds: bool

    def __str__(self) -> str:
        at = f" at {self.column.x}" if self.column.x else ""
        return (f"{self.better} better than {self.worse}, {self.setting}, {self.column.task} {self.column.metric}{at}: "
                f"{'yes' if self.holds else 'not shown'}, {self.difference}")  # fmt: skip


@dataclass
class Results:
    """Entries by row and column, with the weights that routers found, and what is missing, failed or unclear."""

    experiment: Experiment
    rows: list[Row]
    columns: list[Column]
    entries: dict[tuple[Row, Column], Entry] = field(default_factory=dict)
    claims: list[Claim] = field(default_factory=list)
    weights: dict[tuple[Row, str], list[Mapping[str, float]]] = field(default_factory=dict)
    higher: dict[Column, bool] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """It as JSON values: a row for each entry that has a number, and all that is told beside them."""
        entries = [{**asdict(row), **asdict(column), "mean": entry.mean, "sd": entry.sd, "cells": len(entry.values),
                    "records": entry.n, "paper": entry.paper, "compared": entry.difference and told(entry.difference)}
                   for (row, column), entry in self.entries.items()
                   if entry.values or entry.paper is not None]  # fmt: skip
        claims = [{**asdict(each), "told": str(each)} for each in self.claims]
        weights = [{**asdict(row), "task": task, "weights": list(map(dict, found))}
                   for (row, task), found in self.weights.items()]  # fmt: skip
        return {"recipe": self.experiment.where, "title": self.experiment.title, "entries": entries, "claims": claims,
                "weights": weights, "left_out": self.notes,
                "failed": [asdict(each) for each in self.failures]}  # fmt: skip


def told(difference: Difference) -> dict[str, Any]:
    """A difference as JSON values."""
    return {**asdict(difference), "shown": difference.shown, "told": str(difference)}


def gather(grid: Grid, laboratory: Laboratory, draws: int = 1000) -> Results:
    """The results of the cells that are finished. `draws` are those of the bootstrap; 0 compares nothing."""
    return _Gathering(grid, laboratory).results(draws)


class _Gathering:
    def __init__(self, grid: Grid, laboratory: Laboratory) -> None:
        self.grid, self.laboratory, self.recipe = grid, laboratory, grid.experiment
        self.plugins = laboratory.workspace.plugins
        self.found: dict[str, Result | None] = {}
        self.measured: dict[tuple[str, str], Measured] = {}
        self.samples: dict[tuple[Row, Column], dict[Seed, tuple[Result, Column]]] = {}

    def results(self, draws: int) -> Results:
        """Everything, with the comparisons last."""
        made = Results(self.recipe, self._rows(), self._columns(), notes=list(self.grid.missing))
        made.higher = {column: self._higher(column) for column in made.columns}
        for row in made.rows:
            for column in made.columns:
                made.entries[row, column] = Entry(paper=self._paper(row, column))
        for place, cells in self.grid.places.items():
            row = next(row for row in made.rows if (row.method, row.setting) == (place.method, place.setting))
            results = [found for found in map(self._result, map(self.laboratory.key, cells), cells) if found]
            if len(results) == len(cells):
                self._enter(made, row, place, results)
        if draws:
            self._compare(made, draws)
        made.notes = list(dict.fromkeys(made.notes))
        return made

    def _result(self, key: str, cell: Any) -> Result | None:
        if key not in self.found:
            self.found[key] = self.laboratory.result(cell)
        return self.found[key]

    def _enter(self, made: Results, row: Row, place: Place, results: Sequence[Result]) -> None:
        for column in made.columns:
            if (column.task, column.x) != (place.task, place.x):
                continue
            told = [each for each in results if column.metric in each.metrics]
            if not told:
                continue
            sign = 1 if made.higher[column] else -1
            best = max(told, key=lambda each: sign * each.metrics[column.metric])
            entry = made.entries[row, column]
            entry.n = best.n
            entry.values["+".join(each.key for each in told)] = best.metrics[column.metric]
            self.samples.setdefault((row, column), {})[place.seed] = best, column
        if results[0].weights:
            made.weights.setdefault((row, place.task), []).append(results[0].weights)

    def _compare(self, made: Results, draws: int) -> None:
        against = self.recipe.against or next((each.name for each in self.recipe.methods if each.run), "")
        pairs = [(each.name, against) for each in self.recipe.methods if each.run not in (RECORDS, "")]
        pairs = [pair for pair in dict.fromkeys(pairs) if pair[0] != pair[1]]
        claims = [(first, second) for first, second in self.recipe.claims]
        for pair in dict.fromkeys([*pairs, *claims]):
            for setting in dict.fromkeys(row.setting for row in made.rows):
                for x in self.recipe.varied[1]:
                    for column, difference in self._differences(made, pair, setting, x, draws).items():
                        if pair in pairs:
                            made.entries[self._row(made, pair[0], setting), column].difference = difference
                        if pair in claims:
                            holds = difference.shown and (difference.value > 0) == made.higher[column]
                            made.claims.append(Claim(*pair, setting, column, difference, holds))

    def _differences(
        self, made: Results, pair: tuple[str, str], setting: str, x: str, draws: int
    ) -> dict[Column, Difference]:
        """The first method minus the second in every column in which both have all seeds."""
        rows = [self._row(made, name, setting) for name in pair]
        pairs: dict[str, tuple[Seeds, Seeds]] = {}
        named = {f"{column.task} {column.metric}": column for column in made.columns if column.x == x}
        for name, column in named.items():
            both = [self.samples.get((row, column), {}) for row in rows]
            if both[0] and both[0].keys() == both[1].keys():
                try:
                    first, second = ({seed: self._sample(*each, draws) for seed, each in one.items()} for one in both)
                except BadInput as error:
                    made.notes.append(str(error))
                    continue
                if len({each.ids for each in (*first.values(), *second.values())}) == 1:
                    pairs[name] = first, second
                else:
                    made.notes.append(f"{' and '.join(pair)} answered different records of {name}: not compared.")
        found = compare(pairs, count=draws) if pairs else {}
        self._keep(draws)
        return {named[name]: difference for name, difference in found.items()}

    def _row(self, made: Results, method: str, setting: str) -> Row:
        """The method's row in a setting or, if it has none there, its first."""
        own = [row for row in made.rows if row.method == method]
        return next((row for row in own if row.setting == setting), own[0])

    def _sample(self, result: Result, column: Column, draws: int) -> Measured:
        known = result.key, column.metric
        if known not in self.measured:
            task = self.plugins.get(Task, column.task)
            evaluate = self.plugins.get(Evaluator, task.evaluator).load()
            made = measured(self.laboratory.report(result), column.metric, evaluate, task.multi_label)
            path = self.laboratory.workspace.store.draws(*known)
            if path.exists():
                kept = read_json(path, "list of draws")
                made.known.update({name: np.array(values, dtype=float) for name, values in kept.items()})
            self.measured[known] = made
        return self.measured[known]

    def _keep(self, draws: int) -> None:
        """Write what was drawn: of a ranking it takes longer than anything else here."""
        for known, each in self.measured.items():
            path = self.laboratory.workspace.store.draws(*known)
            if each.known and not path.exists():
                write_json(path, {name: [None if math.isnan(v) else v for v in values.tolist()]
                                  for name, values in each.known.items()})  # fmt: skip

    def _rows(self) -> list[Row]:
        order = [(each, setting) for setting in ("normal", "few-shot")
                 for each in self.recipe.methods if setting in (each.settings or self.recipe.settings)]  # fmt: skip
        return list(dict.fromkeys(Row(each.name, setting, each.run == f"skill:{ORACLE}") for each, setting in order))

    def _columns(self) -> list[Column]:
        return [Column(task, metric, x) for task in self.recipe.tasks
                for metric in self.recipe.metrics_of(task, self._metric(task))
                for x in self.recipe.varied[1]]  # fmt: skip

    def _metric(self, task: str) -> str:
        known = {each.name: each for each, _ in self.plugins.all(Task)}
        return known[task].metric if task in known else "records"

    def _higher(self, column: Column) -> bool:
        known = {each.name: each for each, _ in self.plugins.all(Task)}
        if column.task not in known:
            return True
        return self.plugins.get(Evaluator, known[column.task].evaluator).metrics.get(column.metric, True)

    def _paper(self, row: Row, column: Column) -> float | None:
        for method in self.recipe.methods:
            if method.name == row.method and row.setting in (method.settings or self.recipe.settings):
                return _number(method, column)
        return None


def _number(method: Method, column: Column) -> float | None:
    """The paper's number for a method: of a task, or of one of its metrics or values of what is varied."""
    given = method.paper.get(column.task)
    if isinstance(given, Mapping):
        given = given.get(column.x or column.metric)
    return None if given is None else float(given)
