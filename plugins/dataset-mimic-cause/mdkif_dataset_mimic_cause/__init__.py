"""MIMIC-Cause as the n2c2 portal distributes it: an archive with a table of the columns E1, E2, Text and Label."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from mdkif import BadInput, ConversionReport, Dataset, Record, format_choices, hookimpl

from .unpacking import Table, tables

LABELS = {
    "cause(e1,e2)": "e1 causes e2",
    "cause(e2,e1)": "e2 causes e1",
    "enable(e1,e2)": "e1 enables e2",
    "enable(e2,e1)": "e2 enables e1",
    "prevent(e1,e2)": "e1 prevents e2",
    "prevent(e2,e1)": "e2 prevents e1",
    "hinder(e1,e2)": "e1 hinders e2",
    "hinder(e2,e1)": "e2 hinders e1",
    "other": "other",
}
"""The official labels, without case and spaces, in the order of their numbers 0 to 8, with what the query says."""

NUMBERED = {str(number): label for number, label in enumerate(LABELS)}
NOTE = ("note_id", "doc_id", "document_id", "file", "filename", "sentence_id")
"""Columns that would say which note or sentence a row is from."""

TAG = re.compile(r"</?e[12]>")


@hookimpl
def mdkif_datasets() -> list[Dataset]:
    """The data set `mimic-cause`."""
    return [
        Dataset(
            name="mimic-cause",
            title="MIMIC-Cause: causal relations between entities of clinical notes",
            target="mdkif_dataset_mimic_cause:convert",
            licence="n2c2 data use agreement; no redistribution",
            access="n2c2 portal (DBMI), section Community Annotations Downloads",
            homepage="https://portal.dbmi.hms.harvard.edu/projects/n2c2-nlp/",
            citation="Khetan et al. 2022, MIMICause: Representation and Automatic Extraction of Causal Relation Types "
            "from Clinical Notes, Findings of ACL",
            stand_in="ddi",
        )
    ]


def convert(source: Path, conversion: ConversionReport) -> Iterator[Record]:
    """The 2,714 sentences with two tagged entities and one of nine directed relations; there are no official splits.

    `source` is the archive, the folder unpacked from it or its table (`.csv` or `.tsv`). Labels may be names in
    any case and spacing, or the numbers 0 to 8. The tags stay in the context, for nothing else tells the two
    entities apart where a word recurs; `<e2>` may come first. Rows are grouped by their note where a column
    names it, else by their text without the tags. Raises BadInput where no such table is found.
    """
    found = False
    for table in tables(source):
        rows = csv.reader(table.lines(), delimiter=table.delimiter)
        columns = _columns(rows)
        if not {"text", "label"} <= set(columns):
            continue
        found = True
        while True:
            try:
                row = next(rows, None)
            except csv.Error:  # the reader's limit: most likely a quotation mark that never closes
                conversion.malformed(table.place, rows.line_num, "has a field that is far too long")
                continue
            if row is None:
                break
            if any(row):
                yield from _records(dict(zip(columns, row, strict=False)), table, rows.line_num, conversion)
    if not found:
        raise BadInput(f"There is no table with the columns Text and Label in {source}: give the portal's archive.")


def _columns(rows: Iterator[list[str]]) -> list[str]:
    """The header in lower case, or nothing if the first line cannot be one."""
    try:
        return [name.strip().lower() for name in next(rows, [])]
    except csv.Error:
        return []


def _records(row: dict[str, str], table: Table, line: int, conversion: ConversionReport) -> Iterator[Record]:
    """The row's record, or none."""
    text, label = " ".join(row.get("text", "").split()), "".join(row.get("label", "").casefold().split())
    label = NUMBERED.get(label, label)
    if not _tagged(text):
        conversion.malformed(table.place, line, "has a Text without one <e1>...</e1> and one <e2>...</e2>")
    elif label not in LABELS:
        conversion.malformed(table.place, line, "has a Label that is none of the nine")
    else:
        note = next((row[name].strip() for name in NOTE if row.get(name, "").strip()), "")
        yield Record(
            id=f"mimic-cause/{table.name}/{line}",
            context=text,
            group=note or " ".join(re.findall(r"\w+", TAG.sub("", text).casefold())),
            source=f"{table.name}:{line}",
            **format_choices("How are e1 and e2 related?", tuple(LABELS.values()), [LABELS[label]]),
        )


def _tagged(text: str) -> bool:
    """Whether either entity has its tags exactly once, around something."""
    for tag in ("e1", "e2"):
        _, *marks = re.split(f"<(/?){tag}>", text)
        if marks[::2] != ["", "/"] or not TAG.sub("", marks[1]).strip():
            return False
    return True
