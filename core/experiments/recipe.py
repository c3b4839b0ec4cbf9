"""A recipe: what an experiment measures, on what, with which seeds, as a user writes it in a TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, get_type_hints

from ..contract.declarations import Recipe
from ..contract.discovery import Plugins
from ..errors import BadInput, unknown

Texts = tuple[str, ...]
Numbers = tuple[int, ...]
Table = Mapping[str, Any]
SETTINGS = ("few-shot", "normal")
TOY: dict[str, Table] = {
    "train": {"trainer": "lora", "steps": 2, "batch_size": 2, "dev_records": 2},
    "adapt": {"shots": 4, "limit": 4},
    "evaluate": {"limit": 8},
}
"""What `--toy` puts in the place of a recipe's own: enough to see that every step runs, and nothing more."""
BUDGET = {"evaluations": 12, "steps": 2, "epochs": 1}
"""What a router or baseline may spend then, of those that have such a setting."""


@dataclass(frozen=True, kw_only=True)
class Method:
    """A row of the table: what answers, in which of the settings, and what the paper has for it.

    `run` is "base", "skill:NAME", "skill:corresponding" (the skill that learns from the task's own data set),
    "skill:oracle" (whichever is best on the test records: an upper bound), "baseline:NAME", "records" (only counts
    them) or a router; empty if there are only the paper's numbers. `set` are settings of the router or baseline and,
    of a router, of the adaptation. `paper` has a number for each task or, for several metrics or values of what is
    varied, a table of them.
    """

    name: str = ""
    run: str = ""
    settings: Texts = ()
    tasks: Texts = ()
    skills: Texts = ()
    train: Table = field(default_factory=dict)
    set: Table = field(default_factory=dict)
    paper: Table = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """What a recipe says. `where` is its file or name, for errors; `budget` bounds settings of routers and baselines.

    `vary` names one thing with its values: a setting of the adaptation, "skills" (how many, in the `order` listed or
    in a random one for each seed), "without" (which skill is left out) or "data.OPTION" of the converters. `against`
    is the method that every other is compared with, `claims` are further pairs. Numbers are shown times `unit`.
    """

    where: str = ""
    title: str = ""
    tasks: Texts
    methods: tuple[Method, ...]
    skills: Texts = ()
    settings: Texts = ("few-shot",)
    skill_seeds: Numbers = (0,)
    adaptation_seeds: Numbers = (0,)
    train: Table = field(default_factory=dict)
    adapt: Table = field(default_factory=dict)
    evaluate: Table = field(default_factory=dict)
    data: Table = field(default_factory=dict)
    metrics: Table = field(default_factory=dict)
    vary: Table = field(default_factory=dict)
    order: Literal["listed", "random"] = "listed"
    against: str = ""
    claims: tuple[Texts, ...] = ()
    figure: Literal["", "weights"] = ""
    unit: int = 100
    budget: Table = field(default_factory=dict)

    @property
    def varied(self) -> tuple[str, Texts]:
        """What is varied and its values as texts; a name and one value that are empty if nothing is."""
        for name, values in self.vary.items():
            return name, tuple(map(str, values))
        return "", ("",)

    def metrics_of(self, task: str, default: str) -> list[str]:
        """The metrics shown of a task."""
        given = self.metrics.get(task, self.metrics.get("*", default))
        return [given] if isinstance(given, str) else list(given)

    def toy(self) -> Experiment:
        """The same at toy scale: two tasks or two values, three skills, one seed of each kind, and few steps."""
        tables: dict[str, Any] = {name: {**getattr(self, name), **table} for name, table in TOY.items()}
        tables["train"] = {
            key: value for key, value in tables["train"].items() if key in (*TOY["train"], "split_policy")
        }
        vary = {name: values[:2] for name, values in self.vary.items()}
        tables |= {"skill_seeds": self.skill_seeds[:1], "adaptation_seeds": self.adaptation_seeds[:1]}
        return replace(self, tasks=self.tasks[: 1 if vary else 2], skills=self.skills[:3], vary=vary, budget=BUDGET,
                       **tables)  # fmt: skip


def find(plugins: Plugins, name: str) -> Experiment:
    """The recipe in a file or, by name, of a plugin. Raises BadInput for an unknown or a wrong one."""
    path = Path(name).expanduser()
    if path.suffix == ".toml":
        try:
            return parse(path.read_text(encoding="utf-8"), str(path))
        except (OSError, UnicodeDecodeError):
            raise BadInput(f"The recipe {path} cannot be read: give a TOML file, or a name of --list.") from None
    declared = plugins.get(Recipe, name)
    text = files(declared.package).joinpath("recipes", *f"{name}.toml".split("/")).read_text(encoding="utf-8")
    return replace(parse(text, name), title=declared.title)


def parse(text: str, where: str) -> Experiment:
    """A recipe's text. Raises BadInput, naming the key and the remedy, for one that says something else."""
    try:
        table = tomllib.loads(text)
    except ValueError as error:
        raise BadInput(f"The recipe {where} is not TOML: {error}.") from None
    given = _checked(Experiment, table, where, {"where", "budget"})
    given["methods"] = tuple(_method(each, where) for each in table.get("methods", ()))
    for name in ("tasks", "methods"):
        if not given.get(name):
            raise BadInput(f'The recipe {where} has no {name}: add {name} = ["…"].')
    made = Experiment(where=where, **given)
    _check_names(made)
    return made


def _method(given: object, where: str) -> Method:
    if isinstance(given, str):
        return Method(name=given, run=given)
    if not isinstance(given, dict):
        raise BadInput(f'A method of the recipe {where} is neither a name nor a table: write "base" or [[methods]].')
    made = Method(**_checked(Method, given, f"{where}, methods", set()))
    if not (made.name or made.run):
        raise BadInput(f'A method of the recipe {where} has neither a name nor what to run: add run = "base".')
    return replace(made, name=made.name or made.run)


def _check_names(made: Experiment) -> None:
    names = [method.name for method in made.methods]
    if twice := [name for name in names if names.count(name) > 1 and not _apart(made, name)]:
        raise BadInput(f"The recipe {made.where} has two methods named '{twice[0]}': give each a name of its own.")
    for name in (made.against, *(each for pair in made.claims for each in pair)):
        if name and name not in names:
            raise unknown(f"method in the recipe {made.where}", name, names)
    if wrong := [pair for pair in made.claims if len(pair) != 2]:
        raise BadInput(f"The recipe {made.where} has a claim of {len(wrong[0])} methods: name two, the better first.")
    for name in (*made.settings, *(each for method in made.methods for each in method.settings)):
        if name not in SETTINGS:
            raise unknown(f"setting in the recipe {made.where}", name, SETTINGS)
    if len(made.vary) > 1 or not all(isinstance(values, list) and values for values in made.vary.values()):
        raise BadInput(
            f"The recipe {made.where} must vary one thing, with a list of values: vary = {{shots = [8, 16]}}."
        )


def _apart(made: Experiment, name: str) -> bool:
    """Whether methods of one name are never in the same setting."""
    each = [setting for method in made.methods if method.name == name for setting in method.settings or made.settings]
    return len(set(each)) == len(each)


def _checked(cls: type[Any], table: Mapping[str, Any], where: str, but: set[str]) -> dict[str, Any]:
    """The values of a table's keys that a dataclass has, lists as tuples. Raises BadInput for any other."""
    hints = get_type_hints(cls)
    known = {each.name for each in fields(cls)} - but
    found: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            raise unknown(f"key in the recipe {where}", key, known)
        if key != "methods":
            found[key] = _value(value, hints[key], f"The recipe {where} has the wrong {key}: ")
    return found


def _value(value: Any, hint: Any, wrong: str) -> Any:
    if hint == Table:
        if isinstance(value, dict):
            return value
        raise BadInput(f"{wrong}write a table, as in {{name = value}}.")
    if hint in (Texts, Numbers) and not _list_of(value, str if hint == Texts else int):
        raise BadInput(f"{wrong}write a list of {'names' if hint == Texts else 'whole numbers'}.")
    if hint is int and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise BadInput(f"{wrong}write a whole number above 0.")
    if hint is str and not isinstance(value, str):
        raise BadInput(f"{wrong}write a text.")
    if getattr(hint, "__origin__", None) is Literal and value not in hint.__args__:
        raise BadInput(f"{wrong}use one of {', '.join(filter(None, hint.__args__))}.")
    if hint == tuple[Texts, ...]:
        if not isinstance(value, list) or not all(_list_of(each, str) for each in value):
            raise BadInput(f"{wrong}write a list of pairs of methods.")
        return tuple(map(tuple, value))
    return tuple(value) if isinstance(value, list) else value


def _list_of(value: object, kind: type) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and all(type(each) is kind for each in value)
