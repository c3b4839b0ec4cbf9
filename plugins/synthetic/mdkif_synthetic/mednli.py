"""MedNLI: `mli_{train,dev,test}_v1.jsonl`, each premise with one hypothesis for every label."""

from __future__ import annotations

from collections.abc import Iterator, Set
from functools import cache
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from .files import write_jsonl
from .knowledge import Condition, by_code, conditions
from .notes import mark
from .patients import Admission, Hospital, Patient
from .wording import capital, listed, person, unlike

LABELS = ("entailment", "neutral", "contradiction")
SHARE_OF_KINDS = 0.2
OTHER = "other"

Codes = Set[str]


def write(folder: Path, hospital: Hospital) -> dict[str, int]:
    """Write the three files into `folder`/MedNLI and count the pairs."""
    rng = hospital.random("mednli")
    count = max(10, len(hospital.patients) // 2)
    groups, counts = _groups(rng, hospital), {}
    for split, size in (("train", count - 3 * (count // 10)), ("dev", count // 10), ("test", 2 * (count // 10))):
        rows = (pair for group in islice(groups, size) for pair in group)
        counts[f"mednli_{split}"] = write_jsonl(folder / "MedNLI" / f"mli_{split}_v1.jsonl", rows)
    return counts


def judge(present: Codes, absent: Codes, claimed: Codes, asserted: bool) -> str:
    """The label of a hypothesis that says the patient has (`asserted`), or has not, one of `claimed`.

    >>> judge({"4019"}, {"486"}, {"486"}, asserted=True)
    'contradiction'
    """
    if present & claimed:
        true = True
    elif claimed <= absent:
        true = False
    else:
        return "neutral"
    return "entailment" if true is asserted else "contradiction"


def kind(parent: str) -> Codes:
    """The codes of all conditions of a kind, and one for those of the kind that the hospital does not know."""
    return frozenset({OTHER, *(condition.code for condition in conditions() if condition.parent == parent)})


def doubtful(mentioned: Codes, claimed: Codes) -> bool:
    """Whether a claim about a kind touches the organs of what a premise mentions.

    Atrial fibrillation is a heart disease although the table files it under arrhythmia: such claims are not made.
    """
    if OTHER not in claimed or claimed & mentioned:
        return False
    ours = [by_code()[code] for code in mentioned]
    theirs = [by_code()[code] for code in claimed - {OTHER}]
    return any(one.system == two.system or one.site == two.site for one in ours for two in theirs)


def _groups(rng: Random, hospital: Hospital) -> Iterator[list[dict[str, Any]]]:
    """The pairs of one premise after another, no premise twice."""
    stays, told = hospital.stays(), set[str]()
    while True:
        patient, stay = rng.choice(stays)
        premise, present, absent = _premise(rng, patient, stay)
        if premise not in told:
            yield _pairs(rng, premise, present, absent, patient.sex, len(told))
            told.add(premise)


def _pairs(rng: Random, premise: str, present: Codes, absent: Codes, sex: str, number: int) -> list[dict[str, Any]]:
    pairs = []
    for position, label in enumerate(rng.sample(LABELS, len(LABELS))):
        asserted = rng.random() < 0.5
        hypothesis, claimed = _claim(rng, asserted, sex)
        while judge(present, absent, claimed, asserted) != label or doubtful(present | absent, claimed):
            hypothesis, claimed = _claim(rng, asserted, sex)
        pairs.append(
            {
                "sentence1": premise,
                "pairID": f"synthetic-{number:05d}-{position}",
                "sentence1_parse": _parse(premise),
                "sentence1_binary_parse": _binary_parse(premise),
                "sentence2": hypothesis,
                "sentence2_parse": _parse(hypothesis),
                "sentence2_binary_parse": _binary_parse(hypothesis),
                "gold_label": label,
            }
        )
    return pairs


def _premise(rng: Random, patient: Patient, stay: Admission) -> tuple[str, Codes, Codes]:
    """A sentence in the style of a note, with the codes of what it says is present and absent."""
    chosen = rng.sample(range(len(stay.diagnoses)), rng.choice((1, 2)))
    present = [stay.diagnoses[index] for index in chosen]
    absent = unlike(rng, stay.diagnoses, 1, patient.sex)
    first, drug = present[0], rng.choice(stay.drugs[chosen[0]])
    names = listed([rng.choice(condition.synonyms) for condition in present])
    name, denied = rng.choice(first.synonyms), rng.choice(absent[0].synonyms)
    who = f"{patient.age(stay.admitted)} year old {person(patient)}"
    whole = {condition.code for condition in present}
    sentence, codes = rng.choice(
        (
            (f"{capital(who)} with history of {names}, no evidence of {denied}.", whole),
            (f"Past medical history is significant for {names}; ruled out for {denied}.", whole),
            (f"On {mark(stay.admitted)} this {who} with known {names} denied any history of {denied}.", whole),
            (f"She takes {drug} for {name} and has never had {denied}."
             if patient.sex == "F" else f"He takes {drug} for {name} and has never had {denied}.", {first.code}),
            (f"Presented with {rng.choice(first.findings)} from {name}, treated with {drug}; "
             f"work-up negative for {denied}.", {first.code}),
            (f"Found to have {first.test}, consistent with {name}; no sign of {denied}.", {first.code}),
        )
    )  # fmt: skip
    return sentence, frozenset(codes), frozenset({absent[0].code})


def _claim(rng: Random, asserted: bool, sex: str) -> tuple[str, Codes]:
    """A hypothesis about one condition, or about all of a kind, with the codes it is about.

    None is about what only the other sex can have: the premise alone would refute it.
    """
    condition = rng.choice(_possible(sex))
    if rng.random() < SHARE_OF_KINDS:
        verb = "has" if asserted else "does not have"
        return f"The patient {verb} a form of {condition.parent}.", kind(condition.parent)
    told = (
        (
            f"The patient has a diagnosis of {condition.name}.",
            f"The patient suffers from {condition.name}.",
            f"The patient is known to have {condition.name}.",
        )
        if asserted
        else (
            f"The patient does not have a diagnosis of {condition.name}.",
            f"The patient does not suffer from {condition.name}.",
            f"The patient is free of {condition.name}.",
        )
    )
    return rng.choice(told), frozenset({condition.code})


@cache
def _possible(sex: str) -> list[Condition]:
    return [condition for condition in conditions() if condition.sex in ("", sex)]


def _tokens(sentence: str) -> list[str]:
    spaced = sentence[:-1].replace(",", " ,").replace(";", " ;").replace("(", "-LRB-").replace(")", "-RRB-")
    return [*spaced.split(), "."]


def _parse(sentence: str) -> str:
    """A flat tree: the official files hold a parser's, which no reader here needs."""
    return f"(ROOT {' '.join(f'(X {token})' for token in _tokens(sentence))})"


def _binary_parse(sentence: str) -> str:
    *tokens, tree = _tokens(sentence)
    for token in reversed(tokens):
        tree = f"( {token} {tree} )"
    return tree
