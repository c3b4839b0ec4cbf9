"""PubMedQA: `ori_pqal.json` and `test_ground_truth.json`, invented studies whose results give the answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from .files import write_json
from .knowledge import Condition, conditions
from .patients import Hospital
from .wording import capital

FIRST_PMID = 99000001
DECISIONS = {"yes": 0.55, "no": 0.34, "maybe": 0.11}
OUTCOMES = ("readmission within one year", "a missed clinic visit", "an emergency visit", "a stay of more than a week")
EXPOSURES = ("living alone", "night shift work", "rural residence", "low health literacy", "weekend admission")
PROGRAMMES = (
    "a telephone call after discharge",
    "a visit by a pharmacist",
    "a group education course",
    "a smartphone reminder",
    "a visit by a home nurse",
    "a printed care plan",
)


def write(folder: Path, hospital: Hospital) -> dict[str, int]:
    """Write the two files into `folder`/PubMedQA/data; half of every decision is the test set."""
    rng = hospital.random("pubmedqa")
    count = max(20, len(hospital.patients) * 3 // 4)
    few = {decision: max(2, round(count * share)) for decision, share in DECISIONS.items()}
    few["yes"] += count - sum(few.values())
    decisions = [decision for decision, many in few.items() for _ in range(many)]
    order = rng.sample(range(count), count)
    truth: dict[str, str] = {}

    def articles() -> Iterator[tuple[str, dict[str, Any]]]:
        for place, index in enumerate(order):
            pmid, article = str(FIRST_PMID + place), _article(rng, decisions[index])
            if index % 2 == 0:
                truth[pmid] = article["final_decision"]
            yield pmid, article

    data = folder / "PubMedQA" / "data"
    write_json(data / "ori_pqal.json", articles())
    write_json(data / "test_ground_truth.json", truth.items())
    return {"pubmedqa": count, "pubmedqa_test": len(truth)}


def _article(rng: Random, decision: str) -> dict[str, Any]:
    condition, outcome = rng.choice(conditions()), rng.choice(OUTCOMES)
    tell = rng.choice((_association, _trial))
    question, methods, results, conclusion = tell(rng, condition, outcome, decision)
    other, seen, drug = rng.choice(condition.synonyms), rng.choice(condition.findings), rng.choice(condition.drugs)
    background = rng.choice(
        (
            f"{capital(condition.name)} is {condition.definition}. Its care is costly and evidence is scarce.",
            f"Patients with {other} often have {seen}. What else shapes their course is unclear.",
            f"{capital(other)} is usually treated with {drug}. Less is known about other influences.",
        )
    )
    return {
        "QUESTION": question,
        "CONTEXTS": [background, methods, results],
        "LABELS": ["BACKGROUND", "METHODS", "RESULTS"],
        "MESHES": [capital(condition.name), "Humans", "Synthetic"],
        "YEAR": rng.choice((None, *(str(year) for year in range(2001, 2020)))),
        "reasoning_required_pred": decision,
        "reasoning_free_pred": decision,
        "final_decision": decision,
        "LONG_ANSWER": conclusion,
    }


def _association(rng: Random, condition: Condition, outcome: str, decision: str) -> tuple[str, str, str, str]:
    exposure = rng.choice(EXPOSURES)
    low, high, p = _rates(rng, decision)
    many, few, other = rng.randint(12, 90) * 10, rng.randint(2, 9), rng.choice(condition.synonyms)
    methods = rng.choice(
        (
            f"We followed {many} adults with {other} for {few} years.",
            f"This cohort study enrolled {many} patients with {condition.name} in {few} hospitals.",
        )
    )
    results = f"{capital(outcome)} was seen in {high}% of patients with {exposure} and in {low}% of the others (P={p})."
    said = {
        "yes": f"{capital(exposure)} was associated with {outcome} in {condition.name}.",
        "no": f"{capital(exposure)} was not associated with {outcome} in {condition.name}.",
        "maybe": f"{capital(exposure)} may be associated with {outcome} in some patients with {condition.name}.",
    }[decision]
    question = f"Is {exposure} associated with {outcome} in patients with {condition.name}?"
    return question, methods, results + _subgroup(rng, decision), said


def _trial(rng: Random, condition: Condition, outcome: str, decision: str) -> tuple[str, str, str, str]:
    programme = rng.choice(PROGRAMMES)
    low, high, p = _rates(rng, decision)
    many, name = rng.randint(12, 90) * 10, rng.choice((condition.name, *condition.synonyms))
    methods = f"In a randomized trial, {many} patients with {name} received {programme} or usual care."
    results = f"The rate of {outcome} was {low}% with {programme} and {high}% with usual care (P={p})."
    said = {
        "yes": f"{capital(programme)} lowered the rate of {outcome} in {condition.name}.",
        "no": f"{capital(programme)} did not lower the rate of {outcome} in {condition.name}.",
        "maybe": f"{capital(programme)} may lower the rate of {outcome} in some patients with {condition.name}.",
    }[decision]
    question = f"Does {programme} lower the rate of {outcome} in patients with {condition.name}?"
    return question, methods, results + _subgroup(rng, decision), said


def _rates(rng: Random, decision: str) -> tuple[int, int, str]:
    """The lower and the higher rate in percent, and the P value, that a decision implies."""
    low = rng.randint(8, 40)
    gap, p = {
        "yes": (rng.randint(14, 30), rng.choice((".001", ".002", ".004"))),
        "no": (rng.randint(0, 1), f".{rng.randint(52, 94)}"),
        "maybe": (rng.randint(5, 7), rng.choice((".06", ".07", ".08"))),
    }[decision]
    return low, low + gap, p


def _subgroup(rng: Random, decision: str) -> str:
    if decision == "maybe":
        return f" The difference was significant only in patients over {rng.choice((60, 65, 70, 75))} (P=.03)."
    return rng.choice((" Findings were the same in women and men.", " No subgroup differed.", ""))
