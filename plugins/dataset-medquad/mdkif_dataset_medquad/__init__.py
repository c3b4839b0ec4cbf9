"""MedQuAD as its authors distribute it: twelve folders of XML documents, each with question-answer pairs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from mdkif import BadInput, ConversionReport, Dataset, Record, hookimpl

from .choices import with_choices, with_matched
from .cloze import as_cloze
from .pair import Pair

VIEWS = ("qa", "mcqa", "cloze", "first")
ROOTS = {"document", "doc", "diseasefile"}
PAIRS = {"qapair", "pair"}


@hookimpl
def mdkif_datasets() -> list[Dataset]:
    """The data set `medquad`."""
    return [
        Dataset(
            name="medquad",
            title="MedQuAD: consumer health questions answered by NIH websites",
            target="mdkif_dataset_medquad:convert",
            licence="CC BY 4.0",
            access="open",
            homepage="https://github.com/abachaa/MedQuAD",
            citation="Ben Abacha and Demner-Fushman 2019, A Question-Entailment Approach to Question Answering, "
            "BMC Bioinformatics",
            options={
                "view": "qa (free-text answers, the default), mcqa (four choices per question), cloze (the name "
                "taken out of a sentence) or first (four first sentences that look alike)"
            },
        )
    ]


def convert(source: Path, conversion: ConversionReport, *, view: str = "qa") -> Iterator[Record]:
    """The answered pairs of every document below `source`: the repository, one of its folders or one file.

    31,034 of the 47,457 pairs have no answer (most were removed for copyright) and are left out. Pairs are grouped by
    their focus, for what is asked about one disease recurs within and across folders. The view `mcqa` turns each
    answer's first sentence into a choice among those of other diseases (see `with_choices`), the view `first` among
    those that look like it (see `with_matched`), and both hold all pairs in memory; the view `cloze` asks which name
    was taken out of a sentence (see `as_cloze`).
    Raises BadInput for an unknown view or a source without documents.
    """
    if view not in VIEWS:
        raise BadInput(f"MedQuAD has no view '{view}': choose one of {', '.join(VIEWS)}.")
    pairs = _pairs(source, conversion)
    if view == "mcqa":
        yield from with_choices(list(pairs), conversion)
        return
    if view == "first":
        yield from with_matched(list(pairs), conversion)
        return
    if view == "cloze":
        yield from as_cloze(pairs, conversion)
        return
    for pair in pairs:
        yield Record(id=pair.id, query=pair.question, answer=pair.answer, group=pair.group, source=pair.source)


def _pairs(source: Path, conversion: ConversionReport) -> Iterator[Pair]:
    paths = [source] if source.is_file() else sorted(source.rglob("*.xml"))
    if not paths:
        raise BadInput(f"There are no XML documents in {source}: give the folder of the MedQuAD repository.")
    for path in paths:
        raw = path.read_bytes()
        # None of its documents does, and entities can be made to fill the memory. UTF-16 has a NUL beside every letter.
        if b"<!DOCTYPE" in raw.replace(b"\0", b""):
            conversion.malformed(path, 1, "declares a document type")
            continue
        try:
            root = ElementTree.fromstring(raw)
        except (ElementTree.ParseError, ValueError, LookupError) as error:  # the latter two for the encoding
            conversion.malformed(path, getattr(error, "position", (1, 0))[0], "is not well-formed XML")
            continue
        if root.tag.lower() not in ROOTS:
            conversion.malformed(path, 1, "is not a MedQuAD document")
            continue
        yield from _pairs_of(root, path, conversion)


def _pairs_of(root: ElementTree.Element, path: Path, conversion: ConversionReport) -> Iterator[Pair]:
    """The pairs of one document; `pid` is the only key, since `qid` repeats even inside a folder."""
    focus = _text(root, "focus") or _text(root, "doctitle-focus")
    synonyms = tuple(" ".join("".join(element.itertext()).split()) for element in root.iter("Synonym"))
    seen: set[str] = set()
    for number, element in enumerate((each for each in root.iter() if each.tag.lower() in PAIRS), 1):
        pid = element.get("pid", "")
        question = re.sub(r"\s*\?[\s?]*$", "?", _text(element, "question"))
        if not pid or not question:
            conversion.malformed(path, f"pair {number}", "has no question or no pid")
        elif not (answer := _text(element, "answer")):
            conversion.leave_out("empty answer")
        elif pid in seen:
            conversion.leave_out("duplicate id")
        else:
            seen.add(pid)
            yield Pair(
                id=f"medquad/{path.parent.name}/{path.stem}/{pid}",
                source=f"{path.parent.name}/{path.name}",
                focus=focus or path.stem,
                synonyms=synonyms,
                qtype=_child(element, "question").get("qtype", ""),
                question=question,
                answer=answer,
            )


def _child(element: ElementTree.Element, name: str) -> ElementTree.Element:
    """The child of that name in either spelling: four NINDS documents follow a lower-case schema."""
    return next((child for child in element if child.tag.lower() == name), ElementTree.Element(name))


def _text(element: ElementTree.Element, name: str) -> str:
    """The child's text with its hard line breaks and runs of spaces collapsed."""
    return " ".join("".join(_child(element, name).itertext()).split())
