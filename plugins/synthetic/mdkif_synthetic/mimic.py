"""MIMIC-III v1.4: eight tables as `*.csv.gz`, with upper-case names and headers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from .files import Cell, write_csv_gz
from .knowledge import Drug, conditions, drugs, procedures
from .notes import addendum, discharge_summary, ward_note
from .patients import Admission, Hospital, Patient

COLUMNS = {
    "PATIENTS": "SUBJECT_ID GENDER DOB DOD DOD_HOSP DOD_SSN EXPIRE_FLAG",
    "ADMISSIONS": "SUBJECT_ID HADM_ID ADMITTIME DISCHTIME DEATHTIME ADMISSION_TYPE ADMISSION_LOCATION "
    "DISCHARGE_LOCATION INSURANCE LANGUAGE RELIGION MARITAL_STATUS ETHNICITY EDREGTIME EDOUTTIME DIAGNOSIS "
    "HOSPITAL_EXPIRE_FLAG HAS_CHARTEVENTS_DATA",
    "DIAGNOSES_ICD": "SUBJECT_ID HADM_ID SEQ_NUM ICD9_CODE",
    "PROCEDURES_ICD": "SUBJECT_ID HADM_ID SEQ_NUM ICD9_CODE",
    "D_ICD_DIAGNOSES": "ICD9_CODE SHORT_TITLE LONG_TITLE",
    "D_ICD_PROCEDURES": "ICD9_CODE SHORT_TITLE LONG_TITLE",
    "PRESCRIPTIONS": "SUBJECT_ID HADM_ID ICUSTAY_ID STARTDATE ENDDATE DRUG_TYPE DRUG DRUG_NAME_POE "
    "DRUG_NAME_GENERIC FORMULARY_DRUG_CD GSN NDC PROD_STRENGTH DOSE_VAL_RX DOSE_UNIT_RX FORM_VAL_DISP "
    "FORM_UNIT_DISP ROUTE",
    "NOTEEVENTS": "SUBJECT_ID HADM_ID CHARTDATE CHARTTIME STORETIME CATEGORY DESCRIPTION CGID ISERROR TEXT",
}

ORIGINS = {
    "ELECTIVE": "PHYS REFERRAL/NORMAL DELI",
    "URGENT": "CLINIC REFERRAL/PREMATURE",
    "EMERGENCY": "EMERGENCY ROOM ADMIT",
}
SHARE_PLANNED, SHARE_URGENT = 0.1, 0.08

Row = Sequence[Cell]


class Registration(NamedTuple):
    """What the admission office knows of a stay, in the words of MIMIC-III; MIMIC-IV tells the same in its own."""

    patient: Patient
    stay: Admission
    kind: str
    emergency: datetime | None
    left: str
    insurance: str
    language: str | None
    religion: str
    married: str | None


def write(folder: Path, hospital: Hospital) -> dict[str, int]:
    """Write the tables into `folder`/MIMIC-III and count their rows."""
    tables = {
        "PATIENTS": _patients(hospital),
        "ADMISSIONS": _admissions(hospital),
        "DIAGNOSES_ICD": _diagnoses(hospital),
        "PROCEDURES_ICD": _procedures(hospital),
        "D_ICD_DIAGNOSES": ((c.code, c.short_title, c.long_title) for c in conditions()),
        "D_ICD_PROCEDURES": ((p.code, p.short_title, p.long_title) for p in procedures()),
        "PRESCRIPTIONS": _prescriptions(hospital),
        "NOTEEVENTS": _notes(hospital),
    }
    return {
        name.lower(): write_csv_gz(
            folder / "MIMIC-III" / f"{name}.csv.gz",
            ("ROW_ID", *COLUMNS[name].split()),
            ((number, *row) for number, row in enumerate(rows, 1)),
        )
        for name, rows in tables.items()
    }


def _patients(hospital: Hospital) -> Iterator[Row]:
    for patient in hospital.patients:
        last = patient.admissions[-1]
        died = last.discharged if last.died else None
        yield patient.id, patient.sex, _day(patient.born), _day(died), _day(died), None, int(last.died)


def registrations(hospital: Hospital) -> Iterator[Registration]:
    """Every stay in order; some after the first are planned as well. What is of the patient is so at every stay."""
    rng, kinds = hospital.random("admissions"), hospital.random("admission types")
    for patient in hospital.patients:
        own = (
            rng.choice(("Medicare", "Private", "Medicaid")),
            rng.choice(("ENGL", "SPAN", None)),
            rng.choice(("CATHOLIC", "UNOBTAINABLE", "NOT SPECIFIED")),
            rng.choice(("MARRIED", "SINGLE", "WIDOWED", None)),
        )
        for stay in patient.admissions:
            drawn = kinds.random()
            planned = stay.elective or (stay is not patient.first and drawn < SHARE_PLANNED)
            kind = "ELECTIVE" if planned else "URGENT" if drawn > 1 - SHARE_URGENT else "EMERGENCY"
            emergency = stay.admitted - timedelta(hours=rng.randint(2, 9)) if kind == "EMERGENCY" else None
            left = "DEAD/EXPIRED" if stay.died else rng.choice(("HOME", "HOME HEALTH CARE", "SNF"))
            yield Registration(patient, stay, kind, emergency, left, *own)


def _admissions(hospital: Hospital) -> Iterator[Row]:
    for patient, stay, kind, emergency, left, insurance, language, religion, married in registrations(hospital):
        yield (
            patient.id,
            stay.id,
            stay.admitted,
            stay.discharged,
            stay.discharged if stay.died else None,
            kind,
            ORIGINS[kind],
            left,
            insurance,
            language,
            religion,
            married,
            "UNKNOWN/NOT SPECIFIED",
            emergency,
            emergency and emergency + timedelta(hours=1),
            stay.diagnoses[0].name.upper(),
            int(stay.died),
            1,
        )


def _diagnoses(hospital: Hospital) -> Iterator[Row]:
    """Every hundredth admission has, as in the real table, one more row without number and code."""
    for position, (patient, stay) in enumerate(hospital.stays()):
        for number, condition in enumerate(stay.diagnoses, 1):
            yield patient.id, stay.id, number, condition.code
        if position % 100 == 99:
            yield patient.id, stay.id, None, None


def _procedures(hospital: Hospital) -> Iterator[Row]:
    for patient, stay in hospital.stays():
        for number, procedure in enumerate(stay.procedures, 1):
            yield patient.id, stay.id, number, procedure.code


def _prescriptions(hospital: Hospital) -> Iterator[Row]:
    """The drugs of the diagnoses, and for some admissions the fluid they are dissolved in, without NDC."""
    rng, known = hospital.random("prescriptions"), drugs()
    numbers = {name: number for number, name in enumerate(known, 1)}
    for patient, stay in hospital.stays():
        given = sorted({name for names in stay.drugs for name in names})
        for drug in (known[name] for name in given):
            title, number = drug.name.title(), numbers[drug.name]
            strength = f"{drug.dose}{drug.unit} {drug.form.title()}"
            code = f"{drug.name[:4].upper().strip()}{drug.dose}"
            ndc = f"{number:011d}" if rng.random() < 0.95 else "0"
            named = (title, title, title, code, f"{number:06d}", ndc, strength)
            yield (*_course(patient, stay), "MAIN", *named, *_dose(drug))
        if rng.random() < 0.2:
            fluid = "5% Dextrose"
            dose = ("250mL Bag", "250", "mL", "1", "BAG", "IV")
            yield (*_course(patient, stay), "BASE", fluid, fluid, fluid, "D5W250", None, "0", *dose)


def _course(patient: Patient, stay: Admission) -> Row:
    return patient.id, stay.id, None, _day(stay.admitted), _day(stay.discharged)


def _dose(drug: Drug) -> Row:
    return drug.dose, drug.unit, "1", drug.form, drug.route


def _notes(hospital: Hospital) -> Iterator[Row]:
    """One report for each admission; some addenda, wrong notes (ISERROR 1) and notes of other categories.

    CHARTDATE is a bare date; discharge summaries have no CHARTTIME; notes of visits have no HADM_ID.
    """
    rng, stays = hospital.random("notes"), hospital.stays()
    for patient, stay in stays:
        left, report = stay.discharged.date(), discharge_summary(rng, patient, stay)
        yield patient.id, stay.id, left, None, None, "Discharge summary", "Report", None, None, report
        if rng.random() < 0.08:
            text = addendum(rng, stay)
            yield patient.id, stay.id, left, None, None, "Discharge summary", "Addendum", None, None, text
        if rng.random() < 0.03:
            wrong = discharge_summary(rng, *rng.choice(stays))
            yield patient.id, stay.id, left, None, None, "Discharge summary", "Report", None, "1", wrong
        if rng.random() < 0.25:
            category = rng.choice(("Nursing", "Radiology", "Physician "))
            within = None if category == "Physician " and rng.random() < 0.5 else stay.id
            at = stay.admitted + timedelta(hours=rng.randint(1, 24))
            text = ward_note(rng, category, patient, stay)
            yield patient.id, within, at.date(), at, at, category, "Report", rng.randint(14000, 21000), None, text


def _day(moment: datetime | None) -> datetime | None:
    return moment and moment.replace(hour=0, minute=0, second=0)
