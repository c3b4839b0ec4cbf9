"""Tokenised notes whose problems, tests and treatments are annotated as i2b2 does it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from random import Random

from .knowledge import Condition
from .marked import Marked, Mention, examined, given, named, seen, tell
from .patients import Patient
from .wording import capital, person, unlike, with_article


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a note: the assertion of its problems, and a relation of its first two concepts."""

    text: Marked
    status: str = "present"
    relation: str = ""


@dataclass(frozen=True, slots=True)
class Concept:
    """An annotated phrase, in lower case: its line from 1, and its first and last token from 0."""

    text: str
    line: int
    first: int
    last: int
    type: str

    def __str__(self) -> str:
        return f'c="{self.text}" {self.line}:{self.first} {self.line}:{self.last}'


@dataclass
class Annotated:
    """A tokenised note: its lines, its concepts in order, the assertions of problems, and relations."""

    name: str
    lines: list[str] = field(default_factory=list)
    concepts: list[Concept] = field(default_factory=list)
    assertions: list[tuple[Concept, str]] = field(default_factory=list)
    relations: list[tuple[Concept, str, Concept]] = field(default_factory=list)


@lru_cache(4096)
def tokens(text: str) -> list[str]:
    """The tokens of a text: punctuation, percent signs and the English genitive stand alone.

    >>> tokens("Crohn's disease, an LDL of 2,400 mg/dL (25%).")
    ['Crohn', "'s", 'disease', ',', 'an', 'LDL', 'of', '2,400', 'mg/dL', '(', '25', '%', ')', '.']
    """
    return re.sub(r"('s\b|[;:()%]|,(?!\d)|\.(?!\d))", r" \1 ", text).split()


def annotate(name: str, lines: Sequence[Line]) -> Annotated:
    """Tokenise lines and find where their concepts stand."""
    note = Annotated(name)
    for number, line in enumerate(lines, 1):
        words: list[str] = []
        found: list[Concept] = []
        for piece in line.text:
            start, text = len(words), piece if isinstance(piece, str) else piece.text
            words += tokens(text)
            if isinstance(piece, Mention):
                phrase = " ".join(words[start:]).lower()
                found.append(Concept(phrase, number, start, len(words) - 1, piece.type))
        note.lines.append(" ".join(words))
        note.concepts += found
        note.assertions += [(concept, line.status) for concept in found if concept.type == "problem"]
        if line.relation:
            note.relations.append((found[0], line.relation, found[1]))
    return note


def hospital_note(rng: Random, patient: Patient) -> Annotated:
    """A note about the first stay of a patient; its first line says that it is synthetic."""
    stay = patient.first
    who = with_article(f"{patient.age(stay.admitted)} year old {person(patient)}")
    principal = stay.diagnoses[0]
    denied, inherited = unlike(rng, stay.diagnoses, 2, patient.sex)
    parent = "mother" if patient.sex == "F" else "father"
    lines = [
        Line((f"SYNTHETIC RECORD {stay.id}, NO REAL PATIENT.",)),
        Line(("Admission Date:",)),
        Line((f"{stay.admitted:%Y-%m-%d}",)),
        Line(("HISTORY OF PRESENT ILLNESS:",)),
        Line(tell("{who} presented with {sign}.", who=capital(who), sign=seen(rng, principal))),
        Line(tell("no evidence of {other}.", other=named(rng, denied)), "absent"),
        Line(tell("{parent} had {other}.", parent=parent, other=named(rng, inherited)), "associated_with_someone_else"),
        Line(("HOSPITAL COURSE:",)),
        *(
            line
            for condition, treatment in zip(stay.diagnoses, stay.drugs, strict=True)
            for line in _course(rng, condition, treatment)
        ),
        Line(tell("call if {sign} comes back.", sign=seen(rng, principal)), "hypothetical"),
    ]
    return annotate(f"record-{stay.id}", lines)


def _course(rng: Random, condition: Condition, treatment: Sequence[str]) -> list[Line]:
    exam, name, drug, sign = examined(condition), named(rng, condition), given(treatment[0]), seen(rng, condition)
    workup = [
        Line(tell("{exam} showed {name}.", exam=exam, name=name), relation="TeRP"),
        Line(tell("{exam} was ordered to look for {name}.", exam=exam, name=name), "possible", "TeCP"),
        Line(tell("{sign} due to {name}.", sign=sign, name=name), relation="PIP"),
    ]
    therapy = [
        Line(tell("{drug} was given for {name}.", drug=drug, name=name), relation="TrAP"),
        Line(tell("on {drug} the {name} improved.", drug=drug, name=name), relation="TrIP"),
        Line(tell("despite {drug} the {name} did not improve.", drug=drug, name=name), relation="TrWP"),
    ]
    return [rng.choice(workup), rng.choice(therapy)]
