"""i2b2/VA 2010: tokenised notes with concepts, assertions and relations, for training and for testing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .annotated import Annotated, Concept, hospital_note
from .files import write_text
from .patients import Hospital

TRAINING = "concept_assertion_relation_training_data"
PLACES = {
    "beth": (f"{TRAINING}/beth", f"{TRAINING}/beth"),
    "partners": (f"{TRAINING}/partners", f"{TRAINING}/partners"),
    "test": ("test_data", "reference_standard_for_test_data"),
}
"""Where the texts and where the annotations lie."""

ORDER = ("beth", "partners", "test", "test")
DUPLICATE_EVERY = 10


def write(folder: Path, hospital: Hospital) -> dict[str, int]:
    """Write notes of every third patient, with four files each, into `folder`/i2b2; half of them are for testing.

    As in the official files, some annotations are there twice.
    """
    counts = dict.fromkeys(("i2b2_beth", "i2b2_partners", "i2b2_test", "i2b2_concepts"), 0)
    for number, note in enumerate(notes(hospital)):
        part = ORDER[number % len(ORDER)]
        text_place, place = (folder / "i2b2" / name for name in PLACES[part])
        write_text(text_place / "txt" / f"{note.name}.txt", "".join(f"{line}\n" for line in note.lines))
        again = note.concepts[:1] if number % DUPLICATE_EVERY == 0 else []
        for kind, suffix, rows in (
            ("concept", "con", [_concept(concept) for concept in (*note.concepts, *again)]),
            ("ast", "ast", [f'{_concept(concept)}||a="{status}"' for concept, status in note.assertions]),
            ("rel", "rel", [f'{one}||r="{relation}"||{two}' for one, relation, two in note.relations]),
        ):
            write_text(place / kind / f"{note.name}.{suffix}", "".join(f"{row}\n" for row in rows))
        counts[f"i2b2_{part}"] += 1
        counts["i2b2_concepts"] += len(note.concepts)
    return counts


def notes(hospital: Hospital) -> Iterator[Annotated]:
    """The notes, one of every third patient, which emrQA asks about too."""
    rng = hospital.random("i2b2")
    for patient in hospital.patients[::3]:
        yield hospital_note(rng, patient)


def _concept(concept: Concept) -> str:
    return f'{concept}||t="{concept.type}"'
