"""Writing the whole synthetic hospital into a folder, which appears whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from mdkif import BadInput, atomic_directory

from . import (
    clicr,
    emrqa,
    healthcaremagic,
    i2b2,
    mednli,
    medqa,
    medquad,
    meqsum,
    mimic,
    mimiccause,
    mimiciv,
    pubmedqa,
    umls,
    wikimed,
)
from .files import MARK, NOTICE, declare, write_text
from .patients import Hospital, admit

FEWEST_PATIENTS = 10


class Family(NamedTuple):
    """A data set: what writes it, what of it `mdkif convert` takes, and what it is."""

    write: Callable[[Path, Hospital], dict[str, int]]
    place: str
    about: str


FAMILIES = {
    "medqa": Family(medqa.write, "MedQA", "five-option questions about the patients"),
    "medquad": Family(medquad.write, "MedQuAD", "questions and answers about every condition"),
    "pubmedqa": Family(pubmedqa.write, "PubMedQA", "invented studies with a yes/no/maybe question"),
    "mednli": Family(mednli.write, "MedNLI", "premises from the notes' facts, three hypotheses each"),
    "meqsum": Family(meqsum.write, "MeQSum", "consumer questions and their summaries"),
    "umls": Family(umls.write, "UMLS", "conditions, findings and drugs as concepts: names, definitions, relations"),
    "healthcaremagic": Family(
        healthcaremagic.write,
        f"HealthCareMagic/{healthcaremagic.FILE}",
        "patients' letters and a doctor's answers",
    ),
    "wikimed": Family(wikimed.write, "WikiMed", "articles linked to the UMLS, with its MRSTY.RRF"),
    "clicr": Family(clicr.write, "CliCR", "case reports of the patients, with gaps to fill"),
    "mimic-cause": Family(
        mimiccause.write,
        f"MIMIC-Cause/{mimiccause.FILE}",
        "two entities of a sentence and how one bears on the other",
    ),
    "emrqa": Family(emrqa.write, "emrQA/data.json", "questions about notes of the patients"),
    "i2b2": Family(i2b2.write, "i2b2", "tokenised notes with concepts, assertions and relations"),
    "mimic-iii": Family(mimic.write, "MIMIC-III", "admissions, diagnoses, procedures, prescriptions, notes"),
    "mimic-iv": Family(mimiciv.write, "MIMIC-IV", "the same stays under other numbers, in ICD-9 and ICD-10"),
}
"""The data sets by the names `mdkif convert` knows them by."""


class Written(dict[str, Path]):
    """Each data set, by the name `mdkif convert` knows it by, and where it lies; `counts` says how much of what."""

    def __init__(self, paths: Mapping[str, Path], counts: Mapping[str, int]) -> None:
        super().__init__(paths)
        self.counts = dict(counts)


def generate(directory: Path, *, seed: int = 0, patients: int = 400, only: Collection[str] = ()) -> Written:
    """Write a synthetic hospital into `directory`, or `only` some of its data sets, and tell where each lies.

    A folder that is empty or holds an earlier synthetic hospital is replaced. Rows are written as they are made,
    so that memory grows by about a kilobyte a patient. Raises BadInput if the folder holds anything else or is
    a file, for fewer than ten patients and for a data set it does not know; MdkifError if the disk refuses.
    """
    directory = directory.resolve()
    if unknown := sorted(set(only) - FAMILIES.keys()):
        raise BadInput(f"There is no synthetic '{unknown[0]}': choose from {', '.join(FAMILIES)}.")
    if patients < FEWEST_PATIENTS:
        raise BadInput(f"{patients} patients are too few for a synthetic hospital: give {FEWEST_PATIENTS} or more.")
    if directory.exists() and not directory.is_dir():
        raise BadInput(f"{directory} is a file: name a folder for the synthetic hospital.")
    if directory.exists() and any(directory.iterdir()) and not _written_before(directory):
        raise BadInput(f"{directory} holds files that 'mdkif synth' did not write: choose a new or empty folder.")
    hospital = admit(seed, patients)
    counts = {"patients": patients}
    wanted = {name: family for name, family in FAMILIES.items() if name in (only or FAMILIES)}
    with atomic_directory(directory, private=False) as part:
        for family in wanted.values():
            counts |= family.write(part, hospital)
        write_text(part / "README.txt", _readme(seed, patients, wanted))
        listed = "".join(f'{name} = "{family.place}"\n' for name, family in wanted.items())
        write_text(part / "sources.toml", f"# {NOTICE.splitlines()[0]}\n{listed}")
        declare(part)
    return Written({name: directory / family.place for name, family in wanted.items()}, counts)


def _readme(seed: int, patients: int, families: Mapping[str, Family]) -> str:
    width = max(len(family.place) for family in families.values())
    rows = "".join(f"  {name:<15}  {family.place:<{width}}  {family.about}\n" for name, family in families.items())
    return (
        f"{NOTICE}\nPatients: {patients}. Seed: {seed}. The same seed and number of patients give the same bytes.\n\n"
        f"{rows}\nConvert any of them with 'mdkif convert NAME PATH -o FILE'; sources.toml lists them for --sources.\n"
    )


def _written_before(directory: Path) -> bool:
    try:
        return (directory / MARK).read_text(encoding="utf-8") == NOTICE
    except (OSError, UnicodeError):
        return False
