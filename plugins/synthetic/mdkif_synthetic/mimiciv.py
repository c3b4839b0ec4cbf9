"""MIMIC-IV and MIMIC-IV-Note: the stays of MIMIC-III under other numbers, coded in ICD-9 or in ICD-10."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

from .files import Cell, write_csv_gz
from .knowledge import Condition, Procedure, conditions, drugs, procedures
from .mimic import registrations
from .notes import discharge_summary
from .patients import Admission, Hospital, Patient

COLUMNS = {
    "hosp/patients": "subject_id gender anchor_age anchor_year anchor_year_group dod",
    "hosp/admissions": "subject_id hadm_id admittime dischtime deathtime admission_type admit_provider_id "
    "admission_location discharge_location insurance language marital_status race edregtime edouttime "
    "hospital_expire_flag",
    "hosp/diagnoses_icd": "subject_id hadm_id seq_num icd_code icd_version",
    "hosp/procedures_icd": "subject_id hadm_id seq_num chartdate icd_code icd_version",
    "hosp/d_icd_diagnoses": "icd_code icd_version long_title",
    "hosp/d_icd_procedures": "icd_code icd_version long_title",
    "hosp/prescriptions": "subject_id hadm_id pharmacy_id poe_id poe_seq order_provider_id starttime stoptime "
    "drug_type drug formulary_drug_cd gsn ndc prod_strength form_rx dose_val_rx dose_unit_rx form_val_disp "
    "form_unit_disp doses_per_24_hrs route",
    "note/discharge": "note_id subject_id hadm_id note_type note_seq charttime storetime text",
}
SUBJECTS, ADMISSIONS = 98_000_000, 99_000_000
"""Added to the numbers of MIMIC-III; with eight digits they lie outside the real ranges, which begin with 1 and 2."""

TYPES = {"ELECTIVE": "ELECTIVE", "URGENT": "URGENT", "EMERGENCY": "EW EMER."}
LEFT = {"SNF": "SKILLED NURSING FACILITY", "DEAD/EXPIRED": "DIED"}
"""Where MIMIC-IV has another word than MIMIC-III for how a stay ended."""

GROUPS = ("2008 - 2010", "2011 - 2013", "2014 - 2016", "2017 - 2019")

Row = Sequence[Cell]
Coded = Condition | Procedure


def write(folder: Path, hospital: Hospital) -> dict[str, int]:
    """Write the tables into `folder`/MIMIC-IV/hosp and note and count their rows."""
    tables = {
        "hosp/patients": _patients(hospital),
        "hosp/admissions": _admissions(hospital),
        "hosp/diagnoses_icd": _diagnoses(hospital),
        "hosp/procedures_icd": _procedures(hospital),
        "hosp/d_icd_diagnoses": _titles(conditions()),
        "hosp/d_icd_procedures": _titles(procedures()),
        "hosp/prescriptions": _prescriptions(hospital),
        "note/discharge": _notes(hospital),
    }
    return {
        f"mimic_iv_{name.rpartition('/')[2]}": write_csv_gz(
            folder / "MIMIC-IV" / f"{name}.csv.gz", COLUMNS[name].split(), rows, quoted=False
        )
        for name, rows in tables.items()
    }


def _numbers(patient: Patient, stay: Admission) -> tuple[int, int]:
    return SUBJECTS + patient.id, ADMISSIONS + stay.id


def _patients(hospital: Hospital) -> Iterator[Row]:
    rng = hospital.random("mimic-iv patients")
    for patient in hospital.patients:
        came, last = patient.first.admitted, patient.admissions[-1]
        died = last.discharged.date() if last.died else None
        group = rng.choice(GROUPS)
        yield SUBJECTS + patient.id, patient.sex, patient.age(came), came.year, group, died


def _admissions(hospital: Hospital) -> Iterator[Row]:
    rng = hospital.random("mimic-iv admissions")
    for patient, stay, kind, emergency, left, insurance, language, _, married in registrations(hospital):
        yield (
            *_numbers(patient, stay),
            stay.admitted,
            stay.discharged,
            stay.discharged if stay.died else None,
            TYPES[kind],
            f"P{rng.randrange(1000):03d}SY",
            "EMERGENCY ROOM" if kind == "EMERGENCY" else "PHYSICIAN REFERRAL",
            LEFT.get(left, left),
            "Other" if insurance == "Private" else insurance,
            "ENGLISH" if language == "ENGL" else "?",
            married,
            "UNKNOWN",
            emergency,
            emergency and emergency + timedelta(hours=1),
            int(stay.died),
        )


def _versions(hospital: Hospital) -> Iterator[tuple[Patient, Admission, int]]:
    """Every stay with the version of ICD that all of it is coded in."""
    rng = hospital.random("mimic-iv versions")
    for patient, stay in hospital.stays():
        yield patient, stay, 10 if rng.random() < 0.5 else 9


def _diagnoses(hospital: Hospital) -> Iterator[Row]:
    for patient, stay, version in _versions(hospital):
        for number, condition in enumerate(stay.diagnoses, 1):
            yield *_numbers(patient, stay), number, _code(condition, version), version


def _procedures(hospital: Hospital) -> Iterator[Row]:
    rng = hospital.random("mimic-iv procedures")
    for patient, stay, version in _versions(hospital):
        for number, procedure in enumerate(stay.procedures, 1):
            day = stay.admitted.date() + timedelta(days=rng.randint(0, (stay.discharged - stay.admitted).days))
            yield *_numbers(patient, stay), number, day, _code(procedure, version), version


def _code(thing: Coded, version: int) -> str:
    return thing.icd10 if version == 10 else thing.code


def _titles(things: Sequence[Coded]) -> Iterator[Row]:
    for thing in things:
        yield thing.code, 9, thing.long_title
    for thing in sorted(things, key=lambda thing: thing.icd10):
        yield thing.icd10, 10, thing.icd10_title


def _prescriptions(hospital: Hospital) -> Iterator[Row]:
    """Drugs under generic names; of some the NDC is unknown ("0"), and the fluid of infusions is BASE."""
    rng, known, number = hospital.random("mimic-iv prescriptions"), drugs(), 90_000_000
    codes = {name: place for place, name in enumerate(known, 1)}
    for patient, stay in hospital.stays():
        subject, admission = _numbers(patient, stay)
        for name in sorted({name for names in stay.drugs for name in names}):
            number += 1
            drug, code = known[name], f"{codes[name]:011d}" if rng.random() < 0.95 else "0"
            order = (f"{subject}-{number - 90_000_000}", number - 90_000_000, f"P{rng.randrange(1000):03d}SY")
            course = (subject, admission, number, *order, stay.admitted, stay.discharged)
            strength = f"{drug.dose}{drug.unit} {drug.form.title()}"
            dose = (strength, None, drug.dose, drug.unit, "1", drug.form, 1, drug.route)
            yield *course, "MAIN", name.title(), name[:4].upper().strip(), f"{codes[name]:06d}", code, *dose
            if drug.route == "IV":
                fluid = ("250mL Bag", None, "250", "mL", "1", "BAG", None, "IV")
                yield *course, "BASE", "0.9% Sodium Chloride", "NS250", None, "0", *fluid


def _notes(hospital: Hospital) -> Iterator[Row]:
    """One note for each stay, whose marks of de-identification are three underscores."""
    rng = hospital.random("mimic-iv notes")
    for patient in hospital.patients:
        for number, stay in enumerate(patient.admissions, 2):
            text = discharge_summary(rng, patient, stay).replace("[**Synthetic Hospital**]", "Synthetic Hospital")
            subject, admission = _numbers(patient, stay)
            charted = stay.discharged.replace(hour=0, minute=0, second=0)
            stored = stay.discharged + timedelta(hours=rng.randint(1, 48))
            masked = re.sub(r"\[\*\*.*?\*\*\]", "___", text)
            yield f"{subject}-DS-{number}", subject, admission, "DS", number, charted, stored, masked
