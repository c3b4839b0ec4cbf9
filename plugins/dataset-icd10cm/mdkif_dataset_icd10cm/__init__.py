"""ICD-10-CM: the official tabular list of diagnoses, as its owner or the package simple-icd-10-cm gives it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from mdkif import ConversionReport, Dataset, InstalledData, Record, format_choices, hookimpl, packaged
from mdkif_dataset_obo.obo import Parent, Term, Text
from mdkif_dataset_obo.views import OPTIONS, VIEWS, Ontology, wanted
from mdkif_dataset_umls.pairs import Sample, draw, fold, one_of, whole_number

from .tabular import Entry, Tabular, list_in, tabular

NAME = "icd10cm"
WHICH = "To which chapter of ICD-10-CM does the diagnosis belong?"
DISEASES = 14
"""The chapters of diseases come first; those after them are of pregnancy, birth, symptoms, injuries and causes."""
MOST = 8


@hookimpl
def mdkif_datasets() -> list[Dataset]:
    """The data set `icd10cm`."""
    return [
        Dataset(
            name=NAME,
            title="ICD-10-CM: titles, inclusion terms and hierarchy of diagnoses",
            target="mdkif_dataset_icd10cm:convert",
            licence="public domain (work of the United States government)",
            access="open; its files are in the distribution simple-icd-10-cm",
            homepage="https://www.cdc.gov/nchs/icd/icd-10-cm/files.html",
            citation="National Center for Health Statistics, ICD-10-CM Tabular List of Diseases and Injuries",
            options={
                **OPTIONS,
                "view": OPTIONS["view"] + ", chapter (to which chapter does a diagnosis belong)",
                "chapters": "for chapter: diseases (the first fourteen) or all but the last, of special codes",
                "most": "for chapter: how many diagnoses of one category at most; 0 takes all",
            },
            installed="mdkif_dataset_icd10cm:installed",
        )
    ]


def installed() -> InstalledData:
    """The list that simple-icd-10-cm ships. Raises BadInput if it is not installed."""
    folder, version = packaged(NAME, "simple-icd-10-cm", "simple_icd_10_cm/data")
    edition = list_in(folder).stem.partition("tabular")[2].strip("-_").replace("-", " ")
    return InstalledData(path=folder, release=f"ICD-10-CM of {edition} in simple-icd-10-cm {version}")


def convert(
    source: Path,
    conversion: ConversionReport,
    *,
    view: str = "chapter",
    scopes: str = "EXACT",
    negatives: str = "near",
    chapters: str = "diseases",
    most: int = MOST,
    seed: int = 0,
    limit: int = 0,
) -> Iterator[Record]:
    """Records of one view of the tabular list, or of the folder that holds it; placeholders are left out.

    An entry is a term whose synonyms are its inclusion terms; its parent is the entry above it. The group of a record
    is the category, so that no sibling of a diagnosis straddles splits, in any view. Raises BadInput for a source
    without the list and for a wrong option.
    """
    chosen = one_of("view", view, (*VIEWS, "chapter"))
    which = one_of("chapters", chapters, ("diseases", "all"))
    asked = wanted(scopes=scopes, negatives=negatives, seed=seed, limit=limit)
    per_category = whole_number("most", most)
    found = tabular(source, conversion)
    if placeholders := sum(entry.placeholder for entry in found.entries):
        conversion.leave_out("placeholder", placeholders)
        found.entries = [entry for entry in found.entries if not entry.placeholder]
    if chosen == "chapter":
        sample = Sample(asked.limit, asked.seed, conversion)
        yield from sample.of(_chapters(found, which == "all", per_category, asked.seed, conversion))
        return
    yield from Ontology(NAME, found.file, _terms(found), lambda code: code[:3]).records(chosen, asked, conversion)


def _terms(found: Tabular) -> list[Term]:
    """The entries as terms of an ontology; their explanation says what they are a kind of, and what they include."""
    titles = {entry.code: entry.title for entry in found.entries}
    return [
        Term(
            entry.line,
            entry.code,
            entry.title,
            Text(_explained(entry, titles), "", entry.line) if entry.notes else None,
            [Text(note.text, "EXACT", note.line) for note in entry.notes],
            [Parent(entry.parent, entry.line)] if entry.parent in titles else [],
        )
        for entry in found.entries
    ]


def _explained(entry: Entry, titles: dict[str, str]) -> str:
    kind = f"A kind of {titles[entry.parent]}. " if entry.parent in titles else ""
    return f"{kind}It includes {'; '.join(note.text for note in entry.notes)}."


def _chapters(found: Tabular, every: bool, most: int, seed: int, conversion: ConversionReport) -> Iterator[Record]:
    """At most so many diagnoses of each category, chosen by a hash, each with the chapters to choose from."""
    titles = tuple(found.chapters[: -1 if every else DISEASES])
    of_category, homes = defaultdict[str, list[Entry]](list), defaultdict[str, set[int]](set)
    for entry in found.entries:
        of_category[entry.category].append(entry)
        homes[fold(entry.title)].add(entry.chapter)
    for category in of_category.values():
        told: set[str] = set()
        usable = []
        for entry in sorted(category, key=lambda each: draw(seed, "chapter", each.code)):
            if not 0 < entry.chapter <= len(titles):
                conversion.leave_out("diagnosis of another chapter")
            elif fold(entry.title) in told or len(homes[fold(entry.title)]) > 1:
                conversion.leave_out("diagnosis whose title comes twice")
            else:
                told.add(fold(entry.title))
                usable.append(entry)
        if most and len(usable) > most:
            conversion.leave_out("diagnosis beyond those taken of its category", len(usable) - most)
        for entry in sorted(usable[: most or None], key=lambda each: each.line):
            yield Record(
                id=f"{NAME}/chapter/{entry.code}",
                context=entry.title,
                group=entry.category,
                source=f"{found.file}:{entry.line}",
                **format_choices(WHICH, titles, [titles[entry.chapter - 1]]),
            )
