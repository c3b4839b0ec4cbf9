"""Writing the whole synthetic hospital into a folder, which appears whole or not at all."""

from __future__ import annotations

from pathlib import Path

from mdkif import BadInput, whole_directory

from . import mednli, medqa, medquad, meqsum, mimic, pubmedqa, umls
from .files import MARK, NOTICE, declare, write_text
from .patients import admit

FEWEST_PATIENTS = 10
FAMILIES = (mimic, umls, mednli, pubmedqa, medqa, medquad, meqsum)
README = f"""{NOTICE}
Patients: {{patients}}. Seed: {{seed}}. The same seed and number of patients give the same bytes.

  MedNLI/     premises from the notes' facts, three hypotheses each
  MedQA/      five-option questions about the patients
  MedQuAD/    questions and answers about every condition
  MeQSum/     consumer questions and their summaries
  MIMIC-III/  the patients: admissions, diagnoses, procedures, prescriptions, notes
  PubMedQA/   invented studies with a yes/no/maybe question
  UMLS/META/  the conditions, findings and drugs as concepts, with synonyms, definitions and relations

Convert any of them with 'mdkif convert NAME FOLDER -o FILE'.
"""


def generate(directory: Path, *, seed: int = 0, patients: int = 400) -> dict[str, int]:
    """Write a synthetic hospital into `directory` and count what was written.

    A folder that is empty or holds an earlier synthetic hospital is replaced. Raises BadInput if it
    holds anything else, is a file, or for fewer than ten patients; MdkifError if the disk refuses.
    """
    directory = directory.resolve()
    if patients < FEWEST_PATIENTS:
        raise BadInput(f"{patients} patients are too few for a synthetic hospital: give {FEWEST_PATIENTS} or more.")
    if directory.exists() and not directory.is_dir():
        raise BadInput(f"{directory} is a file: name a folder for the synthetic hospital.")
    if directory.exists() and any(directory.iterdir()) and not _written_before(directory):
        raise BadInput(f"{directory} holds files that 'mdkif synth' did not write: choose a new or empty folder.")
    hospital = admit(seed, patients)
    counts = {"patients": patients}
    with whole_directory(directory) as part:
        for family in FAMILIES:
            counts |= family.write(part, hospital)
        write_text(part / "README.txt", README.format(patients=patients, seed=seed))
        declare(part)
    return counts


def _written_before(directory: Path) -> bool:
    try:
        return (directory / MARK).read_text(encoding="utf-8") == NOTICE
    except (OSError, UnicodeError):
        return False
