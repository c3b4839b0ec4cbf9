"""MeQSum: one workbook with consumer health questions and their summaries."""

from __future__ import annotations

from pathlib import Path
from random import Random

from .files import write_xlsx
from .knowledge import Condition, conditions
from .patients import Hospital
from .wording import capital

FILE = "MeQSum_ACL2019_BenAbacha_Demner-Fushman.xlsx"
SHARE_WITH_SUBJECT = 0.65
STRAY_EVERY = 15
MOST = 10_000
"""The official workbook has a thousand questions; a workbook cannot be written row by row."""

RELATIVES: dict[str, tuple[str, ...]] = {"F": ("mother", "wife", "sister"), "M": ("father", "husband", "brother")}
RELATIVES[""] = (*RELATIVES["F"], *RELATIVES["M"], "neighbor")


def write(folder: Path, hospital: Hospital) -> dict[str, int]:
    """Write the workbook into `folder`/MeQSum; every fifteenth row has a stray fourth cell."""
    rng = hospital.random("meqsum")
    count = min(MOST, max(20, len(hospital.patients) // 2))
    questions: dict[str, str] = {}
    while len(questions) < count:
        asked, summary = _question(rng)
        questions.setdefault(asked, summary)
    rows = [(f"synthetic-{number}.txt", asked, summary) for number, (asked, summary) in enumerate(questions.items(), 1)]
    stray = range(STRAY_EVERY, count + 1, STRAY_EVERY)
    title = "SYNTHETIC questions in the layout of MeQSum"
    write_xlsx(folder / "MeQSum" / FILE, "QS", [("File", "CHQ", "Summary"), *rows], stray, title)
    return {"meqsum": count}


def _question(rng: Random) -> tuple[str, str]:
    """A long question of a worried person in lay words, and what it asks in the words of a textbook."""
    condition = rng.choice(conditions())
    lay = rng.choice(condition.synonyms)
    want, summary = _wants(rng, condition, lay)
    relative = rng.choice(RELATIVES[condition.sex])
    story = rng.choice(
        (
            f"My {relative} was told last week about {lay}.",
            f"The doctor says my {relative} has {lay}, and we had never heard of it.",
            f"My {relative} in [LOCATION] has lived with {lay} since [DATE].",
            f"We are worried about my {relative}, who was diagnosed with {lay}.",
        )
    )
    aside = rng.choice(
        (
            f"We notice {rng.choice(condition.findings)} nearly every day.",
            f"The tests showed {condition.test}.",
            "The appointment with the specialist is only in two months.",
            "Everyone on the internet says something different.",
        )
    )
    thanks = rng.choice(("Thank you, [NAME]", "Thanks in advance.", "Please answer to [CONTACT].", "Regards, [NAME]"))
    message = f"{story} {aside} {want} {thanks}"
    if rng.random() < SHARE_WITH_SUBJECT:
        subject = rng.choice((capital(lay), f"Question about {lay}", f"Help with {lay}"))
        message = f"SUBJECT: {subject}\nMESSAGE: {message}"
    return message, summary


def _wants(rng: Random, condition: Condition, lay: str) -> tuple[str, str]:
    drug = rng.choice(condition.drugs)
    return rng.choice(
        (
            ("What can be done about it, and which medicines help?", f"What are the treatments for {condition.name}?"),
            ("I would like to know how it is treated.", f"What are the treatments for {condition.name}?"),
            ("What signs should we watch for?", f"What are the symptoms of {condition.name}?"),
            ("How would I notice if I had it too?", f"What are the symptoms of {condition.name}?"),
            (f"Can somebody explain in plain words what {lay} is?", f"What is {condition.name}?"),
            (f"The pharmacy gave us {drug}. Is that the right medicine?", f"Is {drug} used to treat {condition.name}?"),
            ("Where does it come from, and could it have been prevented?", f"What causes {condition.name}?"),
        )
    )
