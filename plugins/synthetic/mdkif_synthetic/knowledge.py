"""What the synthetic hospital knows of medicine: a table written by hand, true and simple.

The table lies in `conditions/*.toml`, `drugs.toml` and `procedures.toml`, so that a clinician can read and correct it.
Every text of the hospital is made from it, so that one condition is the same thing in every data set.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One condition.

    `code` is ICD-9-CM without its dot, `short_title` and `long_title` its official titles; `icd10` and
    `icd10_title` are the same in ICD-10-CM, with nearly the same meaning; `name` is what
    a textbook calls it and `synonyms` are other true names: none of them contains a title.
    `definition` completes "NAME is …"; `findings` are what a patient has and `test` what a work-up shows;
    `exam` is the examination that shows it.
    `also` are classes of drugs that help too, so that they are never offered as wrong.
    `library` is the number of the MedQuAD folder that explains it. A `chronic` condition stays with its
    patient; `weight` is how common it is; `sex` restricts it; `causes` are codes of what it leads to.
    """

    code: str
    short_title: str
    long_title: str
    icd10: str
    icd10_title: str
    name: str
    synonyms: tuple[str, ...]
    definition: str
    findings: tuple[str, ...]
    test: str
    exam: str
    drugs: tuple[str, ...]
    also: tuple[str, ...] = ()
    system: str
    parent: str
    site: str
    library: int
    chronic: bool
    weight: float
    sex: str = ""
    spanish: str = ""
    causes: tuple[str, ...] = ()

    @property
    def signs(self) -> tuple[str, ...]:
        """Everything that can be seen of it: its findings and its test."""
        return (*self.findings, self.test)


@dataclass(frozen=True, kw_only=True)
class Drug:
    """One drug: its class, its brand names and how it is usually prescribed."""

    name: str
    drug_class: str
    brands: tuple[str, ...]
    dose: str
    unit: str
    form: str
    route: str


@dataclass(frozen=True, kw_only=True)
class Procedure:
    """One procedure: ICD-9-CM code without its dot, the same in ICD-10-PCS, official titles, and how a note says it."""

    code: str
    short_title: str
    long_title: str
    icd10: str
    icd10_title: str
    said: str


@cache
def conditions() -> tuple[Condition, ...]:
    """All conditions, ordered by code."""
    rows = [row for table in _tables() for row in table["condition"]]
    return tuple(sorted(map(_condition, rows), key=lambda condition: condition.code))


@cache
def by_code() -> dict[str, Condition]:
    """The conditions by their code."""
    return {condition.code: condition for condition in conditions()}


@cache
def drugs() -> dict[str, Drug]:
    """The drugs by name, ordered by name."""
    table = tomllib.loads((_package() / "drugs.toml").read_text(encoding="utf-8"))
    return {
        name: Drug(name=name, drug_class=kind, brands=tuple(brands), dose=dose, unit=unit, form=form, route=route)
        for name, (kind, brands, dose, unit, form, route) in sorted(table.items())
    }


@cache
def procedures() -> tuple[Procedure, ...]:
    """All procedures, ordered by code; some codes begin with zeros that a reader must not lose."""
    table = tomllib.loads((_package() / "procedures.toml").read_text(encoding="utf-8"))
    return tuple(sorted((Procedure(**row) for row in table["procedure"]), key=lambda procedure: procedure.code))


def treats(drug: str) -> tuple[Condition, ...]:
    """The conditions a drug is given for."""
    return tuple(condition for condition in conditions() if drug in condition.drugs)


def helps(drug: str, condition: Condition) -> bool:
    """Whether a drug is of a class that helps against a condition."""
    return drugs()[drug].drug_class in {*condition.also, *(drugs()[own].drug_class for own in condition.drugs)}


def _condition(row: dict[str, Any]) -> Condition:
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
    return Condition(**values)


def _package() -> Traversable:
    return files(__package__)


def _tables() -> Iterator[dict[str, Any]]:
    for table in sorted((_package() / "conditions").iterdir(), key=lambda file: file.name):
        if table.name.endswith(".toml"):
            yield tomllib.loads(table.read_text(encoding="utf-8"))
