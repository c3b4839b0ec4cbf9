"""The DDI corpus as its authors distribute it: one XML document of annotated sentences a file, below Train and Test."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from xml.etree import ElementTree

from mdkif import BadInput, ConversionReport, Dataset, Record, format_choices, hookimpl

SPLITS = {"train": "train", "test": "test", "test for ddi extraction task": "test"}
OTHER_TASK = "test for drugner task"
"""The folder for the other of the shared task's two subtasks: its pairs were never judged, so all say false."""

LABELS = {
    "mechanism": "change of pharmacokinetics",
    "effect": "change of effect",
    "advise": "advice on combined use",
    "int": "unspecified interaction",
}
NEGATIVE = "no interaction"
OPTIONS = (*LABELS.values(), NEGATIVE)
AS_MANY = "0.17"
"""About as many pairs that do not interact as pairs that do: 4,021 of the 27,792 training pairs interact."""


@hookimpl
def mdkif_datasets() -> list[Dataset]:
    """The data set `ddi`."""
    return [
        Dataset(
            name="ddi",
            title="DDI corpus 2013: interactions between drugs in DrugBank and MEDLINE texts",
            target="mdkif_dataset_ddi:convert",
            licence="CC BY-NC 4.0",
            access="open",
            homepage="https://github.com/isegura/DDICorpus",
            citation="Herrero-Zazo et al. 2013, The DDI corpus, EvaluationCache of Biomedical Informatics 46(5)",
            options={
                "negatives": f"share of the pairs without interaction to keep, 0 to 1 ({AS_MANY}, the default, gives "
                "as many as interact), or all",
                "seed": "another text draws other such pairs (default 0)",
            },
        )
    ]


def convert(
    source: Path, conversion: ConversionReport, *, negatives: str | float = AS_MANY, seed: str | int = "0"
) -> Iterator[Record]:
    """One record a pair of drugs, which are tagged `<e1>` and `<e2>` in their sentence, grouped by document.

    `source` is the repository, one of its folders or one document. Train has 4,021 pairs that interact and
    23,771 that do not, Test (for DDI extraction) 979 and 4,737. Of those that do not, a share is kept in either
    split, by a hash of the seed and the pair's id; published results are on all. Pairs with a drug in several
    pieces are left out, and the one interaction without a type. Raises BadInput for a share that is none, or
    where no documents are found.
    """
    share = _share(str(negatives))
    seen: set[str] = set()
    for split, path in _files(source, conversion):
        document = _document(path)
        if document is None:
            conversion.malformed(path, 1, "is not a document of the DDI corpus in well-formed XML without DOCTYPE")
            continue
        for key, label, context in _pairs(document, path, conversion):
            if label == NEGATIVE and _position(f"{seed}:{key}") >= share:
                conversion.leave_out("pair without interaction beyond the share")
            elif key in seen:
                conversion.leave_out("duplicate id")
            else:
                seen.add(key)
                yield Record(
                    id=f"ddi/{key}",
                    context=context,
                    split=split,
                    group=document.get("id", ""),
                    source=f"{path.parent.name}/{path.name}",
                    **format_choices("How do the drugs e1 and e2 interact?", OPTIONS, [label]),
                )


def _share(negatives: str) -> float:
    """The option `negatives` as a number."""
    try:
        share = 1.0 if negatives == "all" else float(negatives)
    except ValueError:
        share = -1
    if not 0 <= share <= 1:
        raise BadInput(f"The share of negatives cannot be '{negatives}': give a number from 0 to 1, or all.")
    return share


def _files(source: Path, conversion: ConversionReport) -> Iterator[tuple[str, Path]]:
    """Each document with its split, "" where no folder tells."""
    paths = [source] if source.is_file() else sorted(source.rglob("*.xml"))
    if not paths:
        raise BadInput(f"There are no XML documents in {source}: give the unpacked folder of the DDI corpus.")
    for path in paths:
        folders = [part.casefold() for part in reversed(path.absolute().parts)]
        if OTHER_TASK in folders:
            conversion.leave_out("document of the DrugNER test")
        else:
            yield next((SPLITS[folder] for folder in folders if folder in SPLITS), ""), path


def _document(path: Path) -> ElementTree.Element | None:
    """The root of one document, or None if the file is no such thing."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        # the corpus declares no document types, and the entities of one can make a small file explode
        root = None if "<!DOCTYPE" in text else ElementTree.fromstring(text)
    except (UnicodeDecodeError, ElementTree.ParseError):
        return None
    return root if root is not None and root.tag == "document" and root.get("id") else None


def _pairs(document: ElementTree.Element, path: Path, conversion: ConversionReport) -> Iterator[tuple[str, str, str]]:
    """The id, label and tagged sentence of each pair."""
    for number, sentence in enumerate(document.iter("sentence"), 1):
        drugs = {drug.get("id", ""): drug for drug in sentence.iter("entity")}
        for pair in sentence.iter("pair"):
            try:
                key, label = pair.attrib["id"], _label(pair)
                context = _tagged(sentence.attrib["text"], drugs[pair.attrib["e1"]], drugs[pair.attrib["e2"]])
            except (KeyError, ValueError):
                reason = "has a pair without id, known type or two drugs that are where charOffset says"
                conversion.malformed(path, f"sentence {number}", reason)
                continue
            if not label:
                conversion.leave_out("interaction without a type")
            elif not context:
                conversion.leave_out("drugs in several pieces or overlapping")
            else:
                yield key, label, context


def _label(pair: ElementTree.Element) -> str:
    """How the drugs interact, "" where the corpus does not say. Raises ValueError or KeyError for another value."""
    if pair.get("ddi") == "false":
        return NEGATIVE
    if pair.get("ddi") != "true":
        raise ValueError
    return LABELS[pair.attrib["type"]] if pair.get("type") else ""


def _tagged(text: str, *drugs: ElementTree.Element) -> str:
    """The sentence with both drugs tagged, "" where they cannot be; charOffset counts its last character in.

    Raises ValueError or KeyError if a drug is not where it should be.
    """
    spans = []
    for tag, drug in zip(("e1", "e2"), drugs, strict=True):
        if ";" in drug.attrib["charOffset"]:
            return ""
        start, last = map(int, drug.attrib["charOffset"].split("-"))
        if not text[start : last + 1] == drug.attrib["text"] != "":
            raise ValueError
        spans.append((start, last + 1, tag))
    (start, end, tag), (later_start, later_end, later_tag) = sorted(spans)
    if end > later_start:
        return ""
    pieces = (
        text[:start],
        f"<{tag}>{text[start:end]}</{tag}>",
        text[end:later_start],
        f"<{later_tag}>{text[later_start:later_end]}</{later_tag}>",
        text[later_end:],
    )
    return " ".join("".join(pieces).split())


def _position(text: str) -> float:
    """Where the text's hash lies between 0 and 1."""
    return int.from_bytes(sha256(text.encode()).digest()[:8]) / 2**64
