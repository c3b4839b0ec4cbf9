"""Readmission within 30 days of discharge, by the rule of ClinicalBERT (Huang et al. 2019)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta

from mdkif import ConversionReport, Record, format_choices

from .edition import Edition, Stay
from .notes import last_notes, newest_parts
from .options import Options

REQUEST = "Will the patient be readmitted within 30 days?"
SOON = timedelta(days=30)


def readmitted(stays: Iterable[Stay], conversion: ConversionReport) -> dict[str, bool]:
    """Whether the patient's next admission that is not elective begins less than 30 x 24 hours after each discharge.

    One that begins before the discharge counts, too. Newborns and admissions that ended in death are left out, but
    may be the next one of another.
    """
    patients: dict[str, list[Stay]] = {}
    for stay in stays:
        patients.setdefault(stay.patient, []).append(stay)
    soon: dict[str, bool] = {}
    for own in patients.values():
        upcoming: datetime | None = None
        for stay in sorted(own, key=lambda stay: stay.admitted)[::-1]:
            if stay.newborn:
                conversion.leave_out("admission of a newborn")
            elif stay.died:
                conversion.leave_out("admission that ended in death")
            else:
                soon[stay.admission] = upcoming is not None and upcoming - stay.discharged < SOON
            if not stay.elective:
                upcoming = stay.admitted
    return soon


def balanced(soon: Mapping[str, bool]) -> set[str]:
    """All positive admissions and as many negative ones, those whose hash is lowest.

    The hash is not the one that splits are made by, or all negatives would come from one split.
    """
    positive = {admission for admission, yes in soon.items() if yes}
    negative = sorted(
        soon.keys() - positive, key=lambda admission: hashlib.sha256(f"balance:{admission}".encode()).digest()
    )
    return positive.union(negative[: len(positive)])


def readmission(edition: Edition, conversion: ConversionReport, options: Options) -> Iterator[Record]:
    """One record per admission with a discharge summary, of which the last row is read, as ClinicalBERT did."""
    newest = newest_parts(edition, conversion)
    labels = readmitted(edition.stays(conversion), conversion)
    soon = {admission: yes for admission, yes in labels.items() if admission in newest}
    if without := len(labels) - len(soon):
        conversion.leave_out("admission without a discharge summary", without)
    kept = balanced(soon) if options.balance else soon.keys()
    for note in last_notes(edition, newest, conversion):
        if note.admission not in soon:
            conversion.leave_out("discharge summary of an admission that is left out or unknown")
        elif note.admission not in kept:
            conversion.leave_out("negative beyond the number of positives")
        elif not (text := options.context(edition, note.text)):
            conversion.leave_out("note without the wanted sections")
        else:
            yield Record(
                id=f"{edition.name}/readmission/{note.admission}",
                context=text,
                group=note.patient if options.by_patient else note.admission,
                source=note.source,
                **format_choices(REQUEST, ("yes", "no"), ["yes" if soon[note.admission] else "no"]),
            )
