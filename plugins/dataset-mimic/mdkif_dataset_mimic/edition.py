"""What the views need of an edition of MIMIC, whichever tables it keeps that in."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import ClassVar, NamedTuple

from mdkif import ConversionReport

from .codes import Kind
from .tables import rows


class Part(NamedTuple):
    """A row of the notes: the report of a discharge summary, or an addendum to it."""

    patient: str
    admission: str
    addendum: bool
    date: str
    line: int
    text: str
    source: str


class Mark(NamedTuple):
    """A code or a drug of an admission."""

    patient: str
    admission: str
    name: str


class Stay(NamedTuple):
    """An admission to the hospital; `elective` ones were planned, not all are `newborn`s, not all were survived."""

    patient: str
    admission: str
    admitted: datetime
    discharged: datetime
    elective: bool
    newborn: bool
    died: bool


class Edition(ABC):
    """MIMIC-III or MIMIC-IV: `tables` and `notes` are folders, the class attributes what differs in kind."""

    name: ClassVar[str]
    note_table: ClassVar[str]
    note_remedy: ClassVar[str]
    deid_mark: ClassVar[re.Pattern[str]]
    elective_types: ClassVar[frozenset[str]]
    versions: ClassVar[tuple[str, ...]]

    def __init__(self, tables: Path, notes: Path, version: str = "both") -> None:
        self.tables = tables
        self.notes = notes
        self.version = version

    @classmethod
    @abstractmethod
    def at(cls, source: Path, version: str = "both") -> Edition:
        """The edition in the folder a user gives. Raises BadInput if its tables are not there."""

    @abstractmethod
    def parts(self, conversion: ConversionReport) -> Iterator[Part]:
        """The rows of discharge summaries in file order; every other row is counted."""

    @abstractmethod
    def codes(self, kind: Kind, conversion: ConversionReport) -> Iterator[Mark]:
        """The ICD codes of admissions in file order, dotted; rows without a code are counted."""

    @abstractmethod
    def titles(self, kind: Kind, conversion: ConversionReport) -> dict[str, str]:
        """What the codes mean. Not every code has a title; without the table none has."""

    def drugs(self, conversion: ConversionReport) -> Iterator[Mark]:
        """DRUG of PRESCRIPTIONS in lower case, DRUG_TYPE MAIN only: the others are fluids drugs are dissolved in."""
        for row in rows(self.tables, "PRESCRIPTIONS", ("SUBJECT_ID", "HADM_ID", "DRUG_TYPE", "DRUG"), conversion):
            drug = " ".join(row["DRUG"].lower().split())
            if row["DRUG_TYPE"].upper() != "MAIN":
                conversion.leave_out("prescription of a base or an additive")
            elif not drug or not row["HADM_ID"]:
                conversion.leave_out("prescription without a drug or an admission")
            else:
                yield Mark(row["SUBJECT_ID"], row["HADM_ID"], drug)

    def stays(self, conversion: ConversionReport) -> Iterator[Stay]:
        """The rows of ADMISSIONS; times are `YYYY-MM-DD HH:MM:SS`, shifted into 2100 to 2200."""
        columns = ("SUBJECT_ID", "HADM_ID", "ADMITTIME", "DISCHTIME", "ADMISSION_TYPE", "HOSPITAL_EXPIRE_FLAG")
        for row in rows(self.tables, "ADMISSIONS", columns, conversion):
            try:
                admitted, discharged = (_time(row[column]) for column in ("ADMITTIME", "DISCHTIME"))
            except ValueError:
                conversion.malformed(row.path, row.line, "does not have ADMITTIME and DISCHTIME as times")
                continue
            yield Stay(
                patient=row["SUBJECT_ID"],
                admission=row["HADM_ID"],
                admitted=admitted,
                discharged=discharged,
                elective=row["ADMISSION_TYPE"].upper() in self.elective_types,
                newborn=row["ADMISSION_TYPE"].upper() == "NEWBORN",
                # The two agree but for a few admissions of MIMIC-IV that have the flag alone.
                died=bool(row.get("DEATHTIME")) or row["HOSPITAL_EXPIRE_FLAG"] == "1",
            )


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=None)
