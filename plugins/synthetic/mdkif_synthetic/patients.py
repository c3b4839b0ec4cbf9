"""The patients of the synthetic hospital: who they are, when they came and what they had."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from .knowledge import Condition, Procedure, conditions, procedures

FIRST_SUBJECT = 990001
FIRST_ADMISSION = 991001
"""Identifiers have six digits, as HADM_ID has, and lie outside the ranges of the real tables."""

READMITTED_SOON = 30
SHARE_WITH_PROCEDURE = 0.25
SHARE_DYING = 0.04


@dataclass(frozen=True, kw_only=True, slots=True)
class Admission:
    """One stay. `diagnoses` are in order of importance; `drugs` belong to them, one or two for each.

    `soon_back` says that the next stay of the patient begins within thirty days of this one's end.
    """

    id: int
    admitted: datetime
    discharged: datetime
    elective: bool
    died: bool
    soon_back: bool
    diagnoses: tuple[Condition, ...]
    drugs: tuple[tuple[str, ...], ...]
    procedures: tuple[Procedure, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Patient:
    """One patient with one to three admissions."""

    id: int
    sex: str
    born: datetime
    admissions: tuple[Admission, ...]

    def age(self, at: datetime) -> int:
        """Whole years lived at a moment."""
        return at.year - self.born.year - ((at.month, at.day) < (self.born.month, self.born.day))

    @property
    def first(self) -> Admission:
        """The first admission, which other data sets refer to."""
        return self.admissions[0]


@dataclass(frozen=True)
class Hospital:
    """The patients, and the seed every text about them is drawn from."""

    seed: int
    patients: tuple[Patient, ...]

    def random(self, family: str) -> Random:
        """A generator of its own for each family of files, so that changing one leaves the others as they are."""
        return Random(f"mdkif-synthetic/{self.seed}/{family}")

    def stays(self) -> list[tuple[Patient, Admission]]:
        """All admissions with their patients, in order of patient and time."""
        return [(patient, admission) for patient in self.patients for admission in patient.admissions]


def admit(seed: int, count: int) -> Hospital:
    """A hospital of `count` patients; their ids and everything else follow from the seed."""
    hospital, patients, number = Hospital(seed, ()), [], FIRST_ADMISSION
    rng = hospital.random("patients")
    for index in range(count):
        patient = _patient(rng, FIRST_SUBJECT + index, number)
        number += len(patient.admissions)
        patients.append(patient)
    return Hospital(seed, tuple(patients))


def draw(rng: Random, among: Sequence[Condition], count: int) -> list[Condition]:
    """`count` different conditions, the common ones more often (weighted sampling without replacement)."""
    keys = {condition.code: rng.random() ** (1 / condition.weight) for condition in among}
    return sorted(among, key=lambda condition: -keys[condition.code])[:count]


def _patient(rng: Random, subject: int, number: int) -> Patient:
    sex = rng.choice("FM")
    fitting = [condition for condition in conditions() if condition.sex in ("", sex)]
    chronic = draw(rng, [c for c in fitting if c.chronic], rng.choices((1, 2, 3), (20, 50, 30))[0])
    usual = {condition.code: _treatment(rng, condition) for condition in chronic}
    came = datetime(2101 + rng.randrange(90), 1, 1) + timedelta(minutes=rng.randrange(365 * 24 * 60))
    born = datetime(came.year - rng.randint(35, 88), rng.randint(1, 12), rng.randint(1, 28))
    admissions: list[Admission] = []
    stays = rng.choices((1, 2, 3), (68, 22, 10))[0]
    for stay in range(stays):
        acute = draw(rng, [c for c in fitting if not c.chronic], rng.choices((1, 2), (55, 45))[0])
        last = stay + 1 == stays
        left = came + timedelta(hours=rng.randint(30, 400))
        away = rng.randint(3, 29) if rng.random() < 0.45 else rng.randint(35, 500)
        diagnoses = (*acute, *chronic)
        admissions.append(
            Admission(
                id=number + stay,
                admitted=came,
                discharged=left,
                elective=stay == 0 and rng.random() < 0.08,
                died=last and rng.random() < SHARE_DYING,
                soon_back=not last and away < READMITTED_SOON,
                diagnoses=diagnoses,
                drugs=tuple(usual.get(c.code) or _treatment(rng, c) for c in diagnoses),
                procedures=(rng.choice(procedures()),) if rng.random() < SHARE_WITH_PROCEDURE else (),
            )
        )
        came = left + timedelta(days=away, hours=rng.randrange(12))
    return Patient(id=subject, sex=sex, born=born, admissions=tuple(admissions))


def _treatment(rng: Random, condition: Condition) -> tuple[str, ...]:
    return tuple(sorted(rng.sample(condition.drugs, rng.choice((1, 1, 2)))))
