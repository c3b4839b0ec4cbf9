"""The converters' options, checked once and typed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from mdkif import BadInput

from .codes import KINDS, Kind
from .deid import DEID, deidentified
from .edition import Edition
from .sections import ADMISSION, only

HELP = {
    "view": "icd (codes a discharge summary documents), medication (drugs given) or readmission (within 30 days)",
    "top": "how many of the most frequent codes or drugs are labels, or full",
    "codes": "for icd: diagnoses, procedures or both",
    "version": "for icd: codes of ICD 9, 10 or both; mimic-iii has those of ICD 9 only",
    "caml": "for icd: a folder with the lists {train,dev,test}_{full,50}_hadm_ids.csv of CAML, to use their split",
    "deid": "keep, drop or mask the de-identification marks in notes",
    "sections": "all, admission (what is known at admission; the default of medication), or headers and commas",
    "keep_empty": "for icd and medication: yes keeps admissions with none of the labels; no leaves them out",
    "balance": "for readmission: yes keeps as many negatives as positives, chosen by a hash; no keeps all",
    "split_by": "for readmission: patient, or admission as ClinicalBERT (one patient may be in two splits)",
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the views are told; `top` 0 means all labels, no `sections` the whole note."""

    top: int
    kinds: tuple[Kind, ...]
    caml: Path | None
    deid: str
    sections: frozenset[str]
    keep_empty: bool
    balance: bool
    by_patient: bool

    def context(self, edition: Edition, note: str) -> str:
        """The part of a note that records show, "" if it has none of the wanted sections."""
        text = deidentified(note, self.deid, edition.deid_mark)
        return only(text, self.sections) if self.sections else text


def checked(
    *,
    view: str,
    top: int | str,
    codes: str,
    caml: str | Path,
    deid: str,
    sections: str,
    keep_empty: str,
    balance: str,
    split_by: str,
) -> Options:
    """The options from what users write. Raises BadInput naming the choices."""
    check("codes", codes, (*KINDS, "both"))
    check("deid", deid, DEID)
    check("split_by", split_by, ("patient", "admission"))
    for option, value in (("keep_empty", keep_empty), ("balance", balance)):
        check(option, value, ("yes", "no"))
    if str(top) != "full" and not re.fullmatch(r"[1-9]\d{0,8}", str(top)):
        raise BadInput(f"The option 'top' is {top!r}: give a whole number from 1 up, or full.")
    if caml and view != "icd":
        raise BadInput("The option 'caml' is a split for ICD coding: use it with the view icd.")
    return Options(
        top=0 if str(top) == "full" else int(top),
        kinds=tuple(kind for kind in KINDS if codes in (kind, "both")),
        caml=Path(caml) if caml else None,
        deid=deid,
        sections=_headers(sections or ("admission" if view == "medication" else "all")),
        keep_empty=keep_empty == "yes",
        balance=balance == "yes",
        by_patient=split_by == "patient",
    )


def check(option: str, value: str, choices: tuple[str, ...]) -> None:
    """Raises BadInput unless the value is one of the choices."""
    if value not in choices:
        raise BadInput(f"The option '{option}' is {value!r}: choose from {', '.join(choices)}.")


def _headers(sections: str) -> frozenset[str]:
    named = {"all": frozenset[str](), "admission": ADMISSION}
    if sections in named:
        return named[sections]
    return frozenset(" ".join(name.lower().split()) for name in sections.split(","))
