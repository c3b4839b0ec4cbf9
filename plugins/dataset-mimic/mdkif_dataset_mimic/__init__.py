"""MIMIC-III v1.4 and MIMIC-IV with MIMIC-IV-Note as PhysioNet ships them, read for three tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from mdkif import ConversionReport, Dataset, Record, hookimpl

from .edition import Edition
from .icd import icd
from .medication import medication
from .mimic_iii import MimicIII
from .mimic_iv import MimicIV
from .options import HELP, Options, check, checked
from .readmission import readmission

VIEWS: dict[str, Callable[[Edition, ConversionReport, Options], Iterator[Record]]] = {
    "icd": icd,
    "medication": medication,
    "readmission": readmission,
}


@hookimpl
def mdkif_datasets() -> list[Dataset]:
    """The data sets `mimic-iii` and `mimic-iv`."""
    return [
        Dataset(
            name="mimic-iii",
            title="MIMIC-III: discharge summaries and codes of intensive-care admissions",
            target="mdkif_dataset_mimic:convert_iii",
            licence="PhysioNet Credentialed Health Data License 1.5.0",
            access="credentialed PhysioNet account with CITI training and a signed data use agreement",
            homepage="https://physionet.org/content/mimiciii/1.4/",
            citation="Johnson et al., MIMIC-III, a freely accessible critical care database, Scientific Data 2016",
            options=HELP,
        ),
        Dataset(
            name="mimic-iv",
            title="MIMIC-IV with MIMIC-IV-Note: discharge summaries and codes of hospital admissions",
            target="mdkif_dataset_mimic:convert_iv",
            licence="PhysioNet Credentialed Health Data License 1.5.0",
            access="credentialed PhysioNet account with CITI training and a signed data use agreement",
            homepage="https://physionet.org/content/mimic-iv-note/2.2/",
            citation="Johnson et al., MIMIC-IV, a freely accessible electronic health record dataset, "
            "Scientific Data 2023",
            options=HELP,
        ),
    ]


def convert(
    edition: type[Edition],
    source: Path,
    conversion: ConversionReport,
    *,
    view: str = "icd",
    top: int | str = 10,
    codes: str = "diagnoses",
    version: int | str = "both",
    caml: str | Path = "",
    deid: str = "keep",
    sections: str = "",
    keep_empty: str = "no",
    balance: str = "yes",
    split_by: str = "patient",
) -> Iterator[Record]:
    """Records of one view of the folder with the tables; the group of a record is its patient, or as `split_by` says.

    Raises BadInput for a missing table or column, a table without the rows a view needs, a
    malformed row and a wrong option.
    """
    check("view", view, tuple(VIEWS))
    check("version", str(version), edition.versions)
    options = checked(
        view=view,
        top=top,
        codes=codes,
        caml=caml,
        deid=deid,
        sections=sections,
        keep_empty=keep_empty,
        balance=balance,
        split_by=split_by,
    )
    yield from VIEWS[view](edition.at(source, str(version)), conversion, options)


convert_iii = partial(convert, MimicIII)
convert_iv = partial(convert, MimicIV)
