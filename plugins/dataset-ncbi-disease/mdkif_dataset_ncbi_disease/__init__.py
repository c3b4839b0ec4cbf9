"""The NCBI Disease corpus as MTL-Bioinformatics-2016 has it: `{train,devel,test}.tsv`, a token and a tag a line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from mdkif import BadInput, ConversionReport, Dataset, Record, format_entities, hookimpl, text_lines

FILES = {"train": "train.tsv", "dev": "devel.tsv", "test": "test.tsv"}
QUERY = 'Which diseases does the text name? Write one "disease: entity" a line.'
ROW = re.compile(r"(\S+)\t(O|[BI]-Disease)")

Rows = list[tuple[int, str]]
"""The lines of a sentence with their numbers."""


@hookimpl
def mdkif_datasets() -> list[Dataset]:
    """The data set `ncbi-disease`."""
    return [
        Dataset(
            name="ncbi-disease",
            title="NCBI Disease: diseases in PubMed abstracts",
            target="mdkif_dataset_ncbi_disease:convert",
            licence="CC BY 4.0",
            access="open",
            homepage="https://github.com/cambridgeltl/MTL-Bioinformatics-2016",
            citation="Doğan et al. 2014, NCBI disease corpus: a resource for disease name recognition and concept "
            "normalization, EvaluationCache of Biomedical Informatics 47",
            options={"keep_empty": "yes keeps sentences without a disease, with the answer none; no leaves them out"},
        )
    ]


def convert(source: Path, conversion: ConversionReport, *, keep_empty: str = "no") -> Iterator[Record]:
    """The sentences (5,424, 923 and 940 in the official splits), their tokens joined by single spaces.

    `source` is the folder `data/NCBI-disease-IOB` or one of its three files. The distribution does not
    mark where an abstract ends, so records are grouped by sentence. Raises BadInput where none of the
    files is found and for a wrong option.
    """
    if keep_empty not in ("yes", "no"):
        raise BadInput(f"The option 'keep_empty' is {keep_empty!r}: choose from yes, no.")
    for split, path in _files(source):
        with text_lines(path, conversion) as lines:
            for rows in _sentences(lines):
                if not (sentence := _sentence(rows, path, conversion)):
                    continue
                context, spans = sentence
                if not spans and keep_empty == "no":
                    conversion.leave_out("no disease")
                    continue
                yield Record(
                    id=f"ncbi-disease/{split}/{rows[0][0]}",
                    query=QUERY,
                    context=context,
                    split=split,
                    group=context,
                    source=f"{path.name}:{rows[0][0]}",
                    **format_entities(context, (("disease", start, end) for start, end in spans)),
                )


def _files(source: Path) -> list[tuple[str, Path]]:
    """Each split with its file."""
    files = [(split, source if source.is_file() else source / name) for split, name in FILES.items()]
    if found := [(split, path) for split, path in files if path.name == FILES[split] and path.is_file()]:
        return found
    raise BadInput(f"There is none of {', '.join(FILES.values())} at {source}: give the folder NCBI-disease-IOB.")


def _sentences(lines: Iterable[str]) -> Iterator[Rows]:
    numbered = ((number, line.rstrip("\n")) for number, line in enumerate(lines, 1))
    for blank, rows in groupby(numbered, key=lambda row: not row[1].strip()):
        if not blank:
            yield list(rows)


def _sentence(rows: Rows, path: Path, conversion: ConversionReport) -> tuple[str, list[tuple[int, int]]] | None:
    """The text of a sentence and the offsets of its mentions; None, and one malformed row, if a row is wrong."""
    tokens: list[str] = []
    spans: list[tuple[int, int]] = []
    start, before = 0, "O"
    for number, row in rows:
        match = ROW.fullmatch(row)
        if not match:
            conversion.malformed(path, number, "is not a token, a tab and a tag O, B-Disease or I-Disease")
            return None
        token, tag = match.groups()
        if tag[0] == "I" and before == "O":
            conversion.malformed(path, number, "continues a mention that has not begun")
            return None
        if tag != "O":
            begun = start if tag[0] == "B" else spans.pop()[0]
            spans.append((begun, start + len(token)))
        tokens.append(token)
        start, before = start + len(token) + 1, tag
    return " ".join(tokens), spans
