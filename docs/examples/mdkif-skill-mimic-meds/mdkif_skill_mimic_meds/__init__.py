"""Drugs of an admission, from its diagnoses: a skill for mdkif, with the data set it learns from."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from pathlib import Path

from mdkif import BadInput, ConversionReport, Dataset, Record, Skill, Source, hookimpl

REQUEST = "Which drugs are given to a patient with these diagnoses?"
TABLES = {
    "D_ICD_DIAGNOSES": ("ICD9_CODE", "LONG_TITLE"),
    "DIAGNOSES_ICD": ("SUBJECT_ID", "HADM_ID", "ICD9_CODE"),
    "PRESCRIPTIONS": ("HADM_ID", "STARTDATE", "DRUG_TYPE", "DRUG"),
}


@hookimpl
def mdkif_skills() -> list[Skill]:
    """The skill `mimic-meds`."""
    return [
        Skill(
            name="mimic-meds",
            title="Drugs of an admission, from its diagnoses",
            category="sequence-to-sequence",
            sources=(Source(dataset="mimic-meds"),),
            template="mimic-meds.jinja",
            package=__name__,
        )
    ]


@hookimpl
def mdkif_datasets() -> list[Dataset]:
    """The data set `mimic-meds`."""
    return [
        Dataset(
            name="mimic-meds",
            title="MIMIC-III: diagnoses and prescriptions of intensive-care admissions",
            target="mdkif_skill_mimic_meds:convert",
            licence="PhysioNet Credentialed Health Data License 1.5.0",
            access="credentialed PhysioNet account with CITI training and a signed data use agreement",
            homepage="https://physionet.org/content/mimiciii/1.4/",
            citation="Johnson et al., MIMIC-III, a freely accessible critical care database, Scientific Data 2016",
            options={"most": "how many drugs an answer lists at most, those begun first"},
        )
    ]


def convert(source: Path, conversion: ConversionReport, *, most: int | str = 12) -> Iterator[Record]:
    """One record per admission with diagnoses and drugs; its group is the patient, as in the clinical tasks.

    `source` is the folder with MIMIC's tables. Raises BadInput for a missing table or column, a
    malformed row and a wrong option.
    """
    if not str(most).isdecimal() or int(most) < 1:
        raise BadInput(f"The option 'most' is {most!r}: give a whole number from 1 up.")
    titles = {code: title for _, (code, title) in rows(source, "D_ICD_DIAGNOSES", conversion)}
    begun = drugs(source, conversion)
    admissions: dict[str, tuple[str, int, list[str]]] = {}
    for line, (patient, admission, code) in rows(source, "DIAGNOSES_ICD", conversion):
        if code in titles:
            admissions.setdefault(admission, (patient, line, []))[2].append(titles[code])
        else:
            conversion.leave_out("diagnosis without a title")
    for admission, (patient, line, diagnoses) in admissions.items():
        given = begun.get(admission, {})
        if not given:
            conversion.leave_out("admission without drugs")
            continue
        yield Record(
            id=f"mimic-meds/{admission}",
            query=REQUEST,
            context="; ".join(diagnoses),
            answer="; ".join(sorted(given, key=lambda drug: (given[drug], drug))[: int(most)]),
            group=patient,
            source=f"DIAGNOSES_ICD:{line}",
        )


def drugs(source: Path, conversion: ConversionReport) -> dict[str, dict[str, str]]:
    """The drugs of each admission in lower case, each with the day on which it was first begun."""
    begun: dict[str, dict[str, str]] = {}
    for _, (admission, day, kind, drug) in rows(source, "PRESCRIPTIONS", conversion):
        if kind != "MAIN" or not drug:
            conversion.leave_out("prescription of a base, an additive or nothing")
            continue
        days = begun.setdefault(admission, {})
        days[drug.lower()] = min(day, days.get(drug.lower(), day))
    return begun


def rows(folder: Path, table: str, conversion: ConversionReport) -> Iterator[tuple[int, list[str]]]:
    """The line of each row, and its cells under the columns that `TABLES` names.

    Tables are plain or gzipped, and headers in upper case or, as in the open demo, in lower case.
    """
    found = [path for ending in (".csv", ".csv.gz") if (path := folder / f"{table}{ending}").is_file()]
    if not found:
        raise BadInput(f"There is no {table}.csv.gz in {folder}: give the folder with MIMIC's tables.")
    path = found[0]
    packed = path.suffix == ".gz"
    with gzip.open(path, "rt", encoding="utf-8-sig") if packed else path.open(encoding="utf-8-sig") as lines:
        reader = csv.reader(lines)
        header = [column.upper() for column in next(reader, [])]
        if missing := [column for column in TABLES[table] if column not in header]:
            raise BadInput(f"The table {path} has no column {missing[0]}: get the file as PhysioNet ships it.")
        places = [header.index(column) for column in TABLES[table]]
        for cells in reader:
            if len(cells) == len(header):
                yield reader.line_num, [cells[place].strip() for place in places]
            else:
                conversion.malformed(path, reader.line_num, f"does not have the {len(header)} cells of the header")
