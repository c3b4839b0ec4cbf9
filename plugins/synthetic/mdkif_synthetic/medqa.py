"""MedQA (USMLE): `data_clean/questions/US/{train,dev,test}.jsonl`, vignettes with five options."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from .files import write_jsonl
from .knowledge import Condition, conditions, helps
from .patients import Hospital, Patient
from .wording import capital, listed, person, pronoun, unlike, with_article

LETTERS = "ABCDE"

Asked = tuple[str, str, list[str]]
"""The question at the end of a vignette, its answer, and four wrong ones."""


def write(folder: Path, hospital: Hospital) -> dict[str, int]:
    """Write the three files into `folder`/MedQA and count the questions."""
    rng = hospital.random("medqa")
    count = max(10, len(hospital.patients) * 3 // 4)
    questions, counts = _questions(rng, hospital), {}
    for split, size in (("train", count - 3 * (count // 10)), ("dev", count // 10), ("test", 2 * (count // 10))):
        path = folder / "MedQA" / "data_clean" / "questions" / "US" / f"{split}.jsonl"
        counts[f"medqa_{split}"] = write_jsonl(path, islice(questions, size))
    return counts


def _questions(rng: Random, hospital: Hospital) -> Iterator[dict[str, Any]]:
    """One question after another, none of them twice."""
    asked = set[str]()
    while True:
        row = _question(rng, rng.choice(hospital.patients))
        if row["question"] not in asked:
            asked.add(row["question"])
            yield row


def _question(rng: Random, patient: Patient) -> dict[str, Any]:
    stay = patient.first
    condition = rng.choice(stay.diagnoses)
    kind: Callable[[Random, Condition], Asked] = rng.choice((_diagnosis, _diagnosis, _treatment, _finding))
    asked, answer, wrong = kind(rng, condition)
    options = rng.sample([answer, *wrong], len(LETTERS))
    return {
        "question": f"{_vignette(rng, patient, condition, answer)} {asked}",
        "answer": answer,
        "options": dict(zip(LETTERS, options, strict=True)),
        "meta_info": rng.choice(("step1", "step2&3")),
        "answer_idx": LETTERS[options.index(answer)],
    }


def _vignette(rng: Random, patient: Patient, condition: Condition, answer: str) -> str:
    """Who comes with what; it never gives the answer away, and names the condition only where that is not asked."""
    shown = [finding for finding in condition.findings if finding != answer]
    first, *rest = rng.sample(shown, len(shown))
    who = f"{capital(with_article(f'{patient.age(patient.first.admitted)}-year-old {person(patient)}'))}"
    opening = rng.choice(
        (
            f"{who} comes to the physician because of {first}.",
            f"{who} is brought to the emergency department with {first}.",
            f"{who} presents to the clinic with {first}.",
        )
    )
    also = f"{capital(pronoun(patient))} also has {listed(rest[:2])}. " if rest else ""
    known = "" if answer == condition.name else f" A diagnosis of {condition.name} is made."
    shows = rng.choice(("Work-up shows", "Further testing shows", "Evaluation reveals"))
    return f"{opening} {also}{shows} {condition.test}.{known}"


def _diagnosis(rng: Random, condition: Condition) -> Asked:
    asked = rng.choice(
        ("Which of the following is the most likely diagnosis?", "Which condition best explains these findings?")
    )
    return asked, condition.name, [other.name for other in unlike(rng, [condition], 4)]


def _treatment(rng: Random, condition: Condition) -> Asked:
    """Wrong drugs are of another class than those that help."""
    asked = rng.choice(
        ("Which of the following drugs is used to treat this condition?", "Which of these medications is indicated?")
    )
    return asked, rng.choice(condition.drugs), _elsewhere(rng, condition, lambda other: _unhelpful(other, condition))


def _unhelpful(other: Condition, condition: Condition) -> tuple[str, ...]:
    return tuple(drug for drug in other.drugs if not helps(drug, condition))


def _finding(rng: Random, condition: Condition) -> Asked:
    asked = "Which additional finding is most typical of this condition?"
    return asked, rng.choice(condition.findings), _elsewhere(rng, condition, lambda other: other.findings)


def _elsewhere(rng: Random, condition: Condition, things: Callable[[Condition], tuple[str, ...]]) -> list[str]:
    """Four different things of conditions in other body systems, none of which belongs to this one."""
    others = [other for other in conditions() if other.system != condition.system]
    wrong = sorted({thing for other in others for thing in things(other)} - set(things(condition)))
    return rng.sample(wrong, 4)
