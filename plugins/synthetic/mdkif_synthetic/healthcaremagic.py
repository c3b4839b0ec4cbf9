"""HealthCareMagic-100k: one JSON array of patients' letters, each with the answer of a doctor."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from random import Random

from .files import json_array, write_pieces
from .knowledge import Condition
from .patients import Hospital, Patient
from .wording import capital, listed, person, with_article

FILE = "HealthCareMagic-100k.json"
INSTRUCTION = "If you are a doctor, please answer the medical questions based on the patient's description."
"""The same in every row of the official file."""


def write(folder: Path, hospital: Hospital) -> dict[str, int]:
    """Write `folder`/HealthCareMagic/HealthCareMagic-100k.json, one letter of each patient."""
    rows = (
        {"instruction": INSTRUCTION, "input": letter, "output": answer} for letter, answer in _consultations(hospital)
    )
    write_pieces(folder / "HealthCareMagic" / FILE, chain(json_array(rows), "\n"))
    return {"healthcaremagic": len(hospital.patients)}


def _consultations(hospital: Hospital) -> Iterator[tuple[str, str]]:
    rng = hospital.random("healthcaremagic")
    for patient in hospital.patients:
        condition = rng.choice(patient.first.diagnoses)
        ask = rng.choice((_what_is_it, _what_helps, _what_does_it_do))
        question, advice = ask(rng, condition)
        yield _letter(rng, patient, condition, question), _answer(rng, advice)


def _letter(rng: Random, patient: Patient, condition: Condition, question: str) -> str:
    who = with_article(f"{patient.age(patient.first.admitted)} year old {person(patient)}")
    first, *rest = rng.sample(condition.findings, len(condition.findings))
    greeting = rng.choice(("Hello doctor,", "Hi,", "Dear doctor,", "Good evening."))
    since = rng.choice(("For a week", "Since last month", "For some days", "Lately"))
    also = f" and {rest[0]}" if rng.random() < 0.6 else ""
    thanks = rng.choice(("Thank you.", "Please advise.", "Thanks in advance.", "I am worried."))
    return f"{greeting} I am {who}. {since} I have had {first}{also}. {question} {thanks}"


def _answer(rng: Random, advice: str) -> str:
    """The official answers are signed by "Chat Doctor", which replaced the names of the doctors."""
    greeting = rng.choice(("Hello, thank you for your question.", "Hi, welcome.", "Hello, I understand your concern."))
    close = rng.choice(
        (
            "Please see your physician for an examination.",
            "Go to the emergency room if it gets worse.",
            "Do not change any dose on your own.",
        )
    )
    return f"{greeting} {advice} {close} {rng.choice(('Regards, Chat Doctor.', 'Take care. Chat Doctor.'))}"


def _what_is_it(rng: Random, condition: Condition) -> tuple[str, str]:
    question = rng.choice((f"My tests showed {condition.test}.", f"They found {condition.test}."))
    return (
        f"{question} What could this be?",
        f"What you describe fits {condition.name}, also called {rng.choice(condition.synonyms)}: "
        f"{condition.definition}.",
    )


def _what_helps(rng: Random, condition: Condition) -> tuple[str, str]:
    lay = rng.choice(condition.synonyms)
    return (
        f"My doctor says it is {lay}. Which medicines help?",
        f"{capital(condition.name)} is usually treated with {listed(condition.drugs, 'or')}.",
    )


def _what_does_it_do(rng: Random, condition: Condition) -> tuple[str, str]:
    lay = rng.choice(condition.synonyms)
    return (
        f"Could it come from {lay}, and what else should I watch for?",
        f"Yes, it could. Typical of {condition.name} are {listed(condition.findings)}.",
    )
