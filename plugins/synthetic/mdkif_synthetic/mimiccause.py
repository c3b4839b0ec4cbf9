"""MIMIC-Cause: `mimicause.zip` with one CSV of sentences, two marked entities and how one bears on the other."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

from .files import LONG_AGO, NOTICE
from .knowledge import by_code, conditions, helps
from .marked import Marked, Mention, given, named, seen, tell
from .notes import mark
from .patients import Admission, Hospital, Patient
from .wording import unlike

FILE, INSIDE = "mimicause.zip", "mimicause.csv"
KINDS = ("Cause", "Enable", "Prevent", "Hinder", "Other")
LABELS = (*(f"{kind}({order})" for kind in KINDS[:-1] for order in ("E1,E2", "E2,E1")), "Other")
MOST = 20_000
MOST_HELPED = 10
"""Against no more conditions does any drug help."""

PREVENTS = (
    ("warfarin", "43491"), ("clopidogrel", "43491"), ("lisinopril", "4280"), ("amlodipine", "43491"),
    ("atorvastatin", "41401"), ("simvastatin", "41401"), ("enoxaparin", "41519"), ("apixaban", "41519"),
    ("allopurinol", "5920"), ("potassium citrate", "5920"), ("propranolol", "34690"), ("topiramate", "34690"),
    ("enoxaparin", "45340"), ("nitrofurantoin", "5990"),
)  # fmt: skip
"""Drugs and what they can prevent."""

Said = tuple[Marked, Mention, Mention]
"""A sentence, the entity that acts and the entity it acts on."""


def write(folder: Path, hospital: Hospital) -> dict[str, int]:
    """Write `folder`/MIMIC-Cause/mimicause.zip; the comment of the zip says that it is synthetic.

    The layout inside the official zip is not public: here it is `text,label`, with <e1> and <e2> in the text.
    """
    path = folder / "MIMIC-Cause" / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    count = min(MOST, max(5 * len(LABELS), len(hospital.patients)))
    with zipfile.ZipFile(path, "w") as archive:
        archive.comment = NOTICE.encode()
        member = zipfile.ZipInfo(INSIDE, LONG_AGO)
        member.compress_type = zipfile.ZIP_DEFLATED
        with archive.open(member, "w") as raw, io.TextIOWrapper(raw, encoding="utf-8", newline="") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(("text", "label"))
            rows.writerows(_rows(hospital, count))
    return {"mimic_cause": count}


def _rows(hospital: Hospital, count: int) -> Iterator[tuple[str, str]]:
    """Every label as often as every other; E1 stands before E2 in about half of the texts."""
    rng, told, stays = hospital.random("mimic-cause"), set[str](), hospital.stays()
    while len(told) < count:
        label = LABELS[len(told) % len(LABELS)]
        patient, stay = rng.choice(stays)
        sentence, acting, other = _sentence(rng, label.partition("(")[0], patient, stay)
        one = other if "E2,E1" in label or (label == "Other" and rng.random() < 0.5) else acting
        text = _opening(rng, stay) + _tagged(sentence, one)
        if text not in told:
            told.add(text)
            yield text, label


def _sentence(rng: Random, kind: str, patient: Patient, stay: Admission) -> Said:
    if kind == "Other":
        drug = given(rng.choice(rng.choice(stay.drugs)))
        others = unlike(rng, stay.diagnoses, MOST_HELPED + 1, patient.sex)
        denied = named(rng, next(other for other in others if not helps(drug.text, other)))
        told = rng.choice(("takes {drug} and has no {other}.", "no sign of {other}; {drug} was continued."))
        return tell(told, drug=drug, other=denied), drug, denied
    if kind == "Prevent":
        name, code = rng.choice(PREVENTS)
        drug, effect = given(name), named(rng, by_code()[code])
        told = rng.choice(("{drug} was started to prevent {effect}.", "to avoid {effect}, {drug} was continued."))
        return tell(told, drug=drug, effect=effect), drug, effect
    if kind == "Hinder":
        condition = rng.choice(stay.diagnoses)
        drug, effect = given(rng.choice(condition.drugs)), named(rng, condition)
        told = rng.choice(("{effect} is kept in check with {drug}.", "{drug} eased the {effect}."))
        return tell(told, drug=drug, effect=effect), drug, effect
    if kind == "Cause" and rng.random() < 0.5:
        condition = rng.choice(stay.diagnoses)
        cause, sign = named(rng, condition), seen(rng, condition)
        told = rng.choice(("{sign} due to {cause}.", "{cause} presenting with {sign}."))
        return tell(told, cause=cause, sign=sign), cause, sign
    condition = rng.choice([known for known in conditions() if known.causes])
    cause, effect = named(rng, condition), named(rng, by_code()[rng.choice(condition.causes)])
    sentences = {
        "Cause": ("developed {effect} secondary to {cause}.", "{cause} led to {effect}."),
        "Enable": ("{cause} puts the patient at risk of {effect}.", "prone to {effect} given {cause}."),
    }[kind]
    return tell(rng.choice(sentences), cause=cause, effect=effect), cause, effect


def _opening(rng: Random, stay: Admission) -> str:
    """What stands before the sentence, with the marks of de-identification."""
    known = f"[**Known lastname {rng.randint(1, 9999)}**]"
    return rng.choice((f"Pt {known} seen. ", f"On {mark(stay.admitted)}, per {known}: ", f"Note by {known}.\n"))


def _tagged(sentence: Marked, one: Mention) -> str:
    """The text with `one` between the tags of E1 and the other entity between those of E2."""
    shown = ""
    for piece in sentence:
        if isinstance(piece, str):
            shown += piece
        else:
            tag = "e1" if piece.key == one.key else "e2"
            shown += f"<{tag}>{piece.text}</{tag}>"
    return shown
