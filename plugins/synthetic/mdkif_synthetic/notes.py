"""The notes of the synthetic hospital.

A discharge summary names no diagnosis by its ICD title. Each is told by a synonym, a lay term or an
abbreviation, alone or with its drug, or only by a sign and a drug. Whoever knows synonyms, findings
and treatments can code the note; conditions that are denied must not be coded.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from datetime import datetime
from random import Random

from .knowledge import Condition, drugs
from .patients import Admission, Patient
from .wording import capital, listed, person, pronoun, unlike, with_article

WIDTH = 72
HINT = "Lives alone and often misses doses."
"""Said of most patients who come back within thirty days, and of few others."""


def discharge_summary(rng: Random, patient: Patient, admission: Admission) -> str:
    """The report of a stay: six sections under a de-identified head, two of them lists of drugs."""
    acute = [pair for pair in zip(admission.diagnoses, admission.drugs, strict=True) if not pair[0].chronic]
    chronic = [pair for pair in zip(admission.diagnoses, admission.drugs, strict=True) if pair[0].chronic]
    (principal, treatment), later = acute[0], acute[1:]
    complaint = rng.choice(principal.findings)
    denied = unlike(rng, admission.diagnoses, rng.choice((1, 1, 2)), patient.sex)
    history = [_arrival(rng, _who(patient, admission), patient, principal, treatment), _denial(rng, denied)]
    if rng.random() < (0.75 if admission.soon_back else 0.08):
        history.append(HINT)
    course = [_complication(rng, condition, drugs) for condition, drugs in later]
    course += [f"Underwent {procedure.said}." for procedure in admission.procedures]
    course.append(_end(rng, patient, admission))
    sections = (
        ("Chief Complaint", capital(complaint)),
        ("History of Present Illness", " ".join(history)),
        ("Past Medical History", " ".join(_background(rng, condition, drugs) for condition, drugs in chronic)),
        ("Medications on Admission", [drug for _, drugs in chronic for drug in drugs]),
        ("Brief Hospital Course", " ".join(course)),
        ("Discharge Medications", [] if admission.died else [drug for names in admission.drugs for drug in names]),
    )
    body = "".join(
        f"{title}:\n{_wrapped(told) if isinstance(told, str) else _medications(told)}\n\n" for title, told in sections
    )
    return _head(patient, admission) + body + _foot(rng)


def addendum(rng: Random, admission: Admission) -> str:
    """A short addition that some reports have."""
    drug = rng.choice([drug for drugs in admission.drugs for drug in drugs])
    name, unit = rng.randint(1, 999), rng.randint(1, 999)
    when = "" if admission.died else " before discharge"
    return (
        f"Name:  [**Known lastname {name}**]\nUnit No:  [**Numeric Identifier {unit}**]\n\n"
        f"Addendum:\n{_wrapped(f'The dose of {drug} was confirmed with the pharmacy{when}.')}\n"
    )


def ward_note(rng: Random, category: str, patient: Patient, admission: Admission) -> str:
    """A note of another category: nursing, radiology or a visit outside a stay."""
    condition, treatment = rng.choice(list(zip(admission.diagnoses, admission.drugs, strict=True)))
    seen, name, usual = rng.choice(condition.findings), rng.choice(condition.synonyms), rng.choice(condition.drugs)
    drug = usual if usual in treatment else treatment[0]  # not every usual drug is prescribed
    told = {
        "Nursing": f"Patient resting. Reports {seen}. {capital(drug)} given.",
        "Radiology": f"INDICATION: {seen}.\nFINDINGS: Study shows {condition.test}.",
        "Physician ": f"{capital(_who(patient, admission))} with {name}. Continue {drug}.",
    }
    return f"[**Synthetic Hospital**]\n{told[category]}\n"


def mark(moment: datetime) -> str:
    """A date as the de-identification of MIMIC-III leaves it."""
    return f"[**{moment.year}-{moment.month}-{moment.day}**]"


def _head(patient: Patient, admission: Admission) -> str:
    return (
        f"[**Synthetic Hospital**]\n"
        f"Admission Date:  {mark(admission.admitted)}     Discharge Date:  {mark(admission.discharged)}\n\n"
        f"Date of Birth:  {mark(patient.born)}     Sex:  {patient.sex}\n\nService: MEDICINE\n\n"
    )


def _foot(rng: Random) -> str:
    first, last = rng.randint(1, 999), rng.randint(1, 999)
    return f"[**First Name8 (NamePattern2) {first}**] [**Last Name (NamePattern1) {last}**], M.D.\n"


def _who(patient: Patient, admission: Admission) -> str:
    return f"{patient.age(admission.admitted)} year old {person(patient)}"


def _arrival(rng: Random, who: str, patient: Patient, condition: Condition, drugs: tuple[str, ...]) -> str:
    title = "Mrs." if patient.sex == "F" else "Mr."
    known = f"{title} [**Known lastname {rng.randint(1, 9999)}**]"
    person_came = rng.choice((f"{known} is {with_article(who)} who", f"This {who}"))
    name, given = rng.choice(condition.synonyms), listed(drugs)
    return rng.choice(
        (
            f"{person_came} was found to have {name}.",
            f"{person_came} was admitted for {name} and received {given}.",
            f"{person_came} had {condition.test} and was started on {given}.",
            f"{person_came} also had {condition.test}, consistent with {name}.",
        )
    )


def _background(rng: Random, condition: Condition, drugs: tuple[str, ...]) -> str:
    name, given = rng.choice(condition.synonyms), listed(drugs)
    return rng.choice(
        (
            f"History of {name}.",
            f"{capital(name)}, on {given}.",
            f"Known {name}, treated with {given}.",
            f"{capital(rng.choice(condition.findings))}, takes {given}.",
            f"Prior {rng.choice(('work-up', 'testing'))} showed {condition.test}; on {given}.",
        )
    )


def _complication(rng: Random, condition: Condition, drugs: tuple[str, ...]) -> str:
    name, given = rng.choice(condition.synonyms), listed(drugs)
    return rng.choice(
        (
            f"Stay complicated by {name}.",
            f"Also developed {name} and was given {given}.",
            f"Later had {rng.choice(condition.findings)} and {condition.test}; started on {given}.",
            f"{capital(given)} {'were' if len(drugs) > 1 else 'was'} given for {name}.",
        )
    )


def _denial(rng: Random, denied: list[Condition]) -> str:
    names = listed([rng.choice(condition.synonyms) for condition in denied], "or")
    seen = listed([rng.choice(condition.findings) for condition in denied], "or")
    return rng.choice(
        (
            f"No evidence of {names}.",
            f"Denies any history of {names}.",
            f"Ruled out for {names}.",
            f"Negative for {seen}.",
        )
    )


def _end(rng: Random, patient: Patient, admission: Admission) -> str:
    if admission.died:
        return f"Despite all efforts {pronoun(patient)} expired."
    return rng.choice(("Discharged in stable condition.", "Improved and went home.", "Discharged with follow-up."))


def _medications(names: Sequence[str]) -> str:
    """A numbered list of drugs, each once, without those that only a hospital gives."""
    at_home = [drugs()[name] for name in dict.fromkeys(names) if drugs()[name].route != "IV"]
    rows = [
        f"{number}. {drug.name.title()} {drug.dose} {drug.unit} {drug.form} {drug.route}"
        for number, drug in enumerate(at_home, 1)
    ]
    return "\n".join(rows) or "None."


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)
