"""MIMIC-III v1.4: the folder of `*.csv.gz` tables as PhysioNet ships it, read for ICD coding of discharge summaries."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from mdkif import BadInput, Conversion, Dataset, Record, choose, hashed_split, hookimpl

from .sections import only
from .tables import DEID, count_discharge_rows, diagnoses, diagnosis_titles, discharge_notes, find_table

ICD_REQUEST = "Which diagnoses are documented?"


@hookimpl
def mdkif_datasets() -> list[Dataset]:
    """The data set `mimic-iii`."""
    return [
        Dataset(
            name="mimic-iii",
            title="MIMIC-III: discharge summaries and codes of intensive-care admissions",
            target="mdkif_dataset_mimic:convert",
            licence="PhysioNet Credentialed Health Data License 1.5.0",
            access="credentialed PhysioNet account with CITI training and a signed data use agreement",
            homepage="https://physionet.org/content/mimiciii/1.4/",
            citation="Johnson et al., MIMIC-III, a freely accessible critical care database, Scientific Data 2016",
            options={
                "view": "icd (which of the most frequent diagnoses a discharge summary documents)",
                "top": "how many of the most frequent diagnosis codes are labels",
                "deid": "keep, drop or mask the [** **] marks in notes",
                "sections": "all, or the headers of the sections to keep, separated by commas",
                "keep_empty": "yes keeps admissions with none of the labels; no leaves them out",
            },
        )
    ]


def convert(
    source: Path,
    conversion: Conversion,
    *,
    view: str = "icd",
    top: int = 10,
    deid: str = "keep",
    sections: str = "all",
    keep_empty: str = "no",
) -> Iterator[Record]:
    """Records of one view of the folder with the tables; the group of a record is its patient.

    Raises BadInput for a missing table or column, a table without the rows a view needs, a
    malformed row and a wrong option.
    """
    _check("view", view, ("icd",))
    _check("deid", deid, DEID)
    _check("keep_empty", keep_empty, ("yes", "no"))
    if not re.fullmatch(r"[1-9]\d*", str(top)):
        raise BadInput(f"The option 'top' is {top!r}: give a whole number from 1 up.")
    yield from icd(source, conversion, int(top), deid, keep_empty == "yes", _headers(sections))


def icd(
    folder: Path, conversion: Conversion, top: int, deid: str, keep_empty: bool, wanted: tuple[str, ...]
) -> Iterator[Record]:
    """One record per admission with a discharge summary: which of the `top` diagnoses it documents.

    The labels are the codes with most admissions, each counted once per admission, among training
    patients only, so that the choice of labels sees no test data. Patients are split by a hash, as
    the id lists of CAML (Mullenbach et al. 2018) may not be shipped.
    """
    parts = _discharge_rows(folder, conversion)
    coded: dict[str, set[str]] = {}
    frequency: Counter[str] = Counter()
    for patient, admission, code in diagnoses(folder, conversion):
        codes = coded.setdefault(admission, set())
        if code not in codes and admission in parts and hashed_split(patient) == "train":
            frequency[code] += 1
        codes.add(code)
    ranked = sorted(frequency, key=lambda code: (-frequency[code], code))[:top]
    if not ranked:
        raise BadInput(
            f"No training patient in {folder} has a diagnosis code and a discharge summary: give the complete tables."
        )
    titles = _labels(ranked, diagnosis_titles(folder, conversion))
    for note in discharge_notes(folder, parts, conversion, deid):
        gold = [titles[code] for code in ranked if code in coded.get(note.admission, ())]
        if not gold and not keep_empty:
            conversion.leave_out(f"admission with none of the {len(ranked)} labels")
            continue
        text = only(note.text, wanted) if wanted else note.text
        if not text:
            conversion.leave_out("note without the wanted sections")
            continue
        yield Record(
            id=f"mimic-iii/icd/{note.admission}",
            context=text,
            group=note.patient,
            source=note.source,
            **choose(ICD_REQUEST, tuple(titles.values()), gold),
        )


def _discharge_rows(folder: Path, conversion: Conversion) -> Counter[str]:
    remedy = "get NOTEEVENTS.csv.gz from the credentialed MIMIC-III, as the open demo has no notes."
    if find_table(folder, "DIAGNOSES_ICD") and not find_table(folder, "NOTEEVENTS"):
        raise BadInput(f"The view 'icd' reads notes and {folder} has no NOTEEVENTS table: {remedy}")
    parts = count_discharge_rows(folder, conversion)
    if not parts:
        raise BadInput(f"The view 'icd' reads notes and NOTEEVENTS in {folder} has no discharge summary: {remedy}")
    return parts


def _labels(codes: list[str], titles: dict[str, str]) -> dict[str, str]:
    """A distinct label for each code: its title, with the code where two share one, else the code."""
    shared = Counter(titles.get(code, code) for code in codes)
    named = {code: titles.get(code, code) for code in codes}
    return {code: f"{title} ({code})" if shared[title] > 1 else title for code, title in named.items()}


def _headers(sections: str) -> tuple[str, ...]:
    return () if sections == "all" else tuple(" ".join(name.lower().split()) for name in sections.split(","))


def _check(option: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise BadInput(f"The option '{option}' is {value!r}: choose from {', '.join(choices)}.")
