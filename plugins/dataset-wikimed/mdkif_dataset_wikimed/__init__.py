"""WikiMed as its authors distribute it: `wikimed.json`, one Wikipedia article a line with mentions of UMLS concepts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from mmap import mmap
from pathlib import Path

from mdkif import BadInput, ConversionReport, Dataset, Record, format_choices, hookimpl

from .semantic_types import CLASS_OF, CLASSES

SPLITS = {"train": "train", "valid": "dev", "test": "test"}
REQUEST = "Which types of medical concepts does the document mention?"
LONGEST = 8 * 2**20
"""Bytes of the longest line that is read: Wikipedia allows 2 MiB an article, which JSON may triple, and mentions."""

_CUI = re.compile(r"\bC(\d{7})\b", re.ASCII)
_MRSTY_ROW = re.compile(rb"(?:\xef\xbb\xbf)?C(\d{7})\|T\d{3}\|[^|]*\|([^|]*)\|[^|]*\|[^|]*\|\r?\n?")


@hookimpl
def mdkif_datasets() -> list[Dataset]:
    """The data set `wikimed`."""
    return [
        Dataset(
            name="wikimed",
            title="WikiMed: Wikipedia articles with mentions of medical concepts",
            target="mdkif_dataset_wikimed:convert",
            licence="texts of Wikipedia (CC BY-SA); the types of their concepts under the UMLS Metathesaurus License",
            access="open download; its document labels need the UMLS (free UTS account)",
            homepage="https://doi.org/10.5281/zenodo.5755155",
            citation="Vashishth et al. 2021, Improving broad-coverage medical entity linking with semantic type "
            "prediction and large-scale datasets, J Biomed Inform 121",
            options={"mrsty": "MRSTY.RRF of a UMLS release, or the folder of it; by default beside wikimed.json"},
            stand_in="hoc",
        )
    ]


def convert(source: Path, conversion: ConversionReport, *, mrsty: str = "") -> Iterator[Record]:
    """The articles (393,618) of the official splits, each with the classes of the concepts it mentions.

    `source` is `wikimed.json` or its folder. The file links mentions to concepts (CUIs, several joined by
    `|`) and has no types: these come from `mrsty`, the MRSTY.RRF of a UMLS release or the folder of it, or
    from an MRSTY.RRF beside `wikimed.json`.
    Concepts without one of the 24 classes do not count; an article without any label is left out. One
    line is held in memory at a time, beside at most 40 MB for the classes of all concepts. Raises BadInput where
    one of the files is not found.
    """
    path = _wikimed(source)
    classes = _classes_of_concepts(_mrsty(mrsty, path.parent), conversion)
    for number, line in _lines(path, conversion):
        try:
            document = json.loads(line)
            name, text, split = document["_id"].strip(), document["text"].strip(), SPLITS[document["split"]]
            links = "|".join(mention["link_id"] for mention in document["mentions"])
            (name + text).encode()  # JSON may hold halves of characters, which no file can
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            reason = "is not a document with _id, text, mentions with link_id, and the split train, valid or test"
            conversion.malformed(path, number, reason)
            continue
        found = 0
        for cui in _CUI.findall(links):
            found |= classes[int(cui)]
        if not text or not found:
            conversion.leave_out("no mention of a concept with a class" if text else "empty text")
            continue
        yield Record(
            id=f"wikimed/{name}/{number}",  # the line makes it unique, whatever the file repeats
            context=text,
            split=split,
            group=name,
            source=f"{path.name}:{number}",
            **format_choices(REQUEST, CLASSES, [label for bit, label in enumerate(CLASSES) if found >> bit & 1]),
        )


def _wikimed(source: Path) -> Path:
    if source.is_file():
        return source
    if found := sorted(source.glob("[Ww]iki[Mm]ed.json")):
        return found[0]
    raise BadInput(f"There is no wikimed.json in {source}: give the file of WikiMed, unpacked, or its folder.")


def _mrsty(given: str, beside: Path) -> Path:
    if not given and (beside / "MRSTY.RRF").is_file():
        return beside / "MRSTY.RRF"
    if not given:
        raise BadInput(
            "The labels of 'wikimed' are the UMLS types of its concepts: "
            f"add --data mrsty=PATH, the MRSTY.RRF of a release, or put it into {beside}."
        )
    path = Path(given)
    for file in (path, path / "MRSTY.RRF", path / "META" / "MRSTY.RRF"):
        if file.is_file():
            return file
    raise BadInput(f"There is no MRSTY.RRF at {path}: let MetamorphoSys write it into the META folder.")


def _classes_of_concepts(path: Path, conversion: ConversionReport) -> memoryview[int]:
    """The classes of every concept by the number of its CUI, one bit a class: a concept may have several types."""
    bits = {name.encode(): 1 << CLASSES.index(label) for name, label in CLASS_OF.items()}
    # A CUI has seven digits. Of anonymous memory only the pages that are written to are taken.
    classes, known = memoryview(mmap(-1, 4 * 10**7)).cast("I"), 0
    for number, line in _lines(path, conversion):
        row = _MRSTY_ROW.fullmatch(line)
        if row is None:
            conversion.malformed(path, number, "does not have the six fields of MRSTY.RRF with a | after each")
            continue
        bit = bits.get(row[2], 0)
        classes[int(row[1])] |= bit
        known |= bit
    if not known:
        raise BadInput(f"{path} gives no concept a known semantic type: take the MRSTY.RRF of a UMLS release.")
    return classes


def _lines(path: Path, conversion: ConversionReport) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, with their numbers; one that is too long is never held."""
    number = 0
    with path.open("rb") as file:
        while line := file.readline(LONGEST):
            number += 1
            if len(line) == LONGEST:
                conversion.malformed(path, number, f"is longer than {LONGEST >> 20} MiB")
                while line and not line.endswith(b"\n"):
                    line = file.readline(2**16)
            elif line.strip():
                yield number, line
