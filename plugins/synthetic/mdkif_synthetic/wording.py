"""Small tools for grammatical English, shared by every text of the hospital."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from .knowledge import Condition, conditions
from .patients import Patient


def capital(text: str) -> str:
    """The text with its first letter in upper case and the rest as it is.

    >>> capital("an LDL of 188")
    'An LDL of 188'
    """
    return text[:1].upper() + text[1:]


def listed(items: Sequence[str], word: str = "and") -> str:
    """Items as a person lists them.

    >>> listed(["fever", "cough", "chills"])
    'fever, cough and chills'
    """
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} {word} {items[-1]}"


def with_article(phrase: str) -> str:
    """A phrase after "a" or "an".

    >>> with_article("ACE inhibitor"), with_article("statin"), with_article("SSRI")
    ('an ACE inhibitor', 'a statin', 'an SSRI')
    """
    return f"{'an' if phrase[0] in 'aeioAEIO8' or phrase.startswith(('SSRI', 'H2', 'NMDA')) else 'a'} {phrase}"


def person(patient: Patient) -> str:
    """Woman or man."""
    return "woman" if patient.sex == "F" else "man"


def pronoun(patient: Patient) -> str:
    """She or he."""
    return "she" if patient.sex == "F" else "he"


def unlike(rng: Random, present: Sequence[Condition], count: int, sex: str = "") -> list[Condition]:
    """Conditions that share no name, drug or sign with those present, and are not their consequences.

    So that a text may deny them, or offer them as wrong answers, without contradicting itself.
    """
    codes = {condition.code for condition in present} | {code for condition in present for code in condition.causes}
    shown = {thing for condition in present for thing in (*condition.signs, *condition.drugs)}
    others = [
        other
        for other in conditions()
        if other.code not in codes and not shown & {*other.signs, *other.drugs} and other.sex in ("", sex or other.sex)
    ]
    return rng.sample(others, count)
