"""UMLS Metathesaurus in Rich Release Format: `META/{MRCONSO,MRDEF,MRREL}.RRF` as MetamorphoSys writes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mdkif import BadInput, ConversionReport, Dataset, Record, hookimpl

from .pairs import (
    RELATE,
    Sample,
    Synonym,
    Vocabulary,
    explanation,
    one_of,
    plain,
    relation,
    synonym_pairs,
    whole_number,
)
from .rrf import Atom, Definition, Documentation, Relation, by_concept, rows

VIEWS = ("ea", "es", "er")
MOST_RELATIONS = 8


class Fact(NamedTuple):
    """`first` has `relation` to `second`; both are CUIs."""

    first: str
    relation: str
    second: str


@hookimpl
def mdkif_datasets() -> list[Dataset]:
    """The data set `umls`."""
    return [
        Dataset(
            name="umls",
            title="UMLS Metathesaurus: definitions, synonyms and relations of medical concepts",
            target="mdkif_dataset_umls:convert",
            licence="UMLS Metathesaurus License; single sources add their own terms",
            access="free UTS account with the National Library of Medicine",
            homepage="https://www.nlm.nih.gov/research/umls/",
            citation="Bodenreider, The Unified Medical Language System (UMLS), Nucleic Acids Research 2004",
            options={
                "view": "ea (explain a concept), es (do two terms mean the same), er (relation of two concepts)",
                "seed": "another seed draws other negatives and another sample",
                "limit": "how many records to sample; 0 keeps all",
            },
            stand_in="disease-ontology",
        )
    ]


def convert(
    source: Path, conversion: ConversionReport, *, view: str = "ea", seed: int = 0, limit: int = 0
) -> Iterator[Record]:
    """Records of one view of a META folder, of the folder that holds it, or of one of its RRF files.

    Names, and for `es` a few terms per word, are held in memory; the files are streamed. Names are
    English, preferred and not suppressed. Raises BadInput for a missing file and a wrong option.
    """
    views = {"ea": _explanations, "es": _synonyms, "er": _relations}
    make = views[one_of("view", view, VIEWS)]
    sample = Sample(whole_number("limit", limit), whole_number("seed", seed), conversion)
    yield from sample.of(make(_meta(source), conversion, sample))


def facts(meta: Path, names: dict[str, str], conversion: ConversionReport) -> Iterator[tuple[int, Fact]]:
    """Every relation of MRREL once, with its line: `CUI2 RELA CUI1`, both named in `names` and different.

    The file states each relation from both sides; here one side speaks for both. MRDOC.RRF says
    which relations are inverse; without it `inverse_x`/`x` and `has_x`/`x_of` are recognised, and
    so is a pair of rows with one RUI.
    """
    inverses = _inverses(meta, conversion)
    told: set[int] = set()
    for line, row in rows(meta / "MRREL.RRF", Relation, conversion):
        if reason := _unusable(row, names):
            conversion.leave_out(reason)
            continue
        fact = _one_sided(Fact(row.CUI2, row.RELA, row.CUI1), inverses)
        # Numbers and not the texts themselves, as there are millions of relations.
        keys = {hash(fact)}
        if row.RUI:
            keys.add(hash((row.RUI, *sorted((row.CUI1, row.CUI2)))))
        if keys & told:
            conversion.leave_out("relation that was already told, or told from the other side")
        else:
            yield line, fact
        told |= keys


def _meta(source: Path) -> Path:
    folders = [source.parent] if source.is_file() else [source, source / "META"]
    for folder in folders:
        if (folder / "MRCONSO.RRF").is_file():
            return folder
    raise BadInput(
        f"There is no MRCONSO.RRF in {source}: give the META folder that MetamorphoSys wrote, or its parent."
    )


def _names(meta: Path, conversion: ConversionReport) -> tuple[dict[str, str], set[str]]:
    """The preferred English name of each concept, and the source vocabularies that are in English."""
    names: dict[str, str] = {}
    english: set[str] = set()
    for _, atom in rows(meta / "MRCONSO.RRF", Atom, conversion):
        if atom.LAT == "ENG":
            english.add(atom.SAB)
        if atom.wanted and atom.preferred:
            names.setdefault(atom.CUI, plain(atom.STR))
    return names, english


def _explanations(meta: Path, conversion: ConversionReport, sample: Sample) -> Iterator[Record]:
    names, english = _names(meta, conversion)
    path = meta / "MRDEF.RRF"
    for cui, group in by_concept(path, Definition, conversion):
        if cui not in names:
            conversion.leave_out("concept without a preferred English name", len(group))
            continue
        told = [(row.SAB, line, plain(row.DEF)) for line, row in group if row.SUPPRESS == "N" and row.SAB in english]
        told = sorted(item for item in told if item[2])
        if len(told) < len(group):
            conversion.leave_out("definition that is empty, suppressed or not English", len(group) - len(told))
        if told:
            _, line, text = told[0]
            if len(told) > 1:
                conversion.leave_out("further definition of a concept", len(told) - 1)
            yield explanation("umls", cui, names[cui], text, f"{path.name}:{line}")


def _synonyms(meta: Path, conversion: ConversionReport, sample: Sample) -> Iterator[Record]:
    path = meta / "MRCONSO.RRF"
    vocabulary = Vocabulary()
    # The first reading only gathers terms; what is malformed is counted in the second.
    for _, atom in rows(path, Atom, ConversionReport(skip_bad=conversion.skip_bad)):
        if atom.wanted and not atom.preferred:
            vocabulary.add(plain(atom.STR), atom.CUI)
    for cui, group in by_concept(path, Atom, conversion):
        atoms = [(line, atom) for line, atom in group if atom.wanted]
        if len(atoms) < len(group):
            conversion.leave_out("name that is suppressed or not English", len(group) - len(atoms))
        name = next((plain(atom.STR) for _, atom in atoms if atom.preferred), "")
        if atoms and not name:
            conversion.leave_out("concept without a preferred English name", len(atoms))
            continue
        synonyms = [
            Synonym(atom.AUI, plain(atom.STR), f"{path.name}:{line}") for line, atom in atoms if not atom.preferred
        ]
        also = [plain(atom.STR) for _, atom in group]
        yield from synonym_pairs("umls", cui, name, synonyms, also, vocabulary, sample, conversion)


def _relations(meta: Path, conversion: ConversionReport, sample: Sample) -> Iterator[Record]:
    names, _ = _names(meta, conversion)
    scratch = ConversionReport(skip_bad=conversion.skip_bad)
    counted = Counter(fact.relation for _, fact in facts(meta, names, scratch))
    ranked = sorted(counted, key=lambda name: (-counted[name], name))[:MOST_RELATIONS]
    labels = {name: name.replace("_", " ") for name in ranked}
    for line, fact in facts(meta, names, conversion):
        if fact.relation not in labels:
            conversion.leave_out(f"relation beyond the {MOST_RELATIONS} most frequent")
            continue
        identity = "/".join(("umls", "er", *fact))
        if not sample.wants(identity):
            continue
        yield relation(
            identity,
            RELATE,
            (names[fact.first], names[fact.second]),
            tuple(labels.values()),
            labels[fact.relation],
            fact.first,
            f"MRREL.RRF:{line}",
        )


def _unusable(row: Relation, names: dict[str, str]) -> str:
    if row.SUPPRESS != "N":
        return "relation that is suppressed"
    if not row.RELA:
        return "relation without a RELA name"
    if row.CUI1 == row.CUI2:
        return "relation of a concept to itself"
    if row.CUI1 not in names or row.CUI2 not in names:
        return "relation of a concept without a preferred English name"
    return ""


def _inverses(meta: Path, conversion: ConversionReport) -> dict[str, str]:
    path = meta / "MRDOC.RRF"
    if not path.is_file():
        return {}
    documented = (row for _, row in rows(path, Documentation, conversion))
    return {row.VALUE: row.EXPL for row in documented if (row.DOCKEY, row.TYPE) == ("RELA", "rela_inverse")}


def _inverse(name: str, inverses: dict[str, str]) -> str:
    if name in inverses:
        return inverses[name]
    if name.startswith("inverse_"):
        return name.removeprefix("inverse_")
    if name.startswith("has_"):
        return name.removeprefix("has_") + "_of"
    return "has_" + name.removesuffix("_of") if name.endswith("_of") else ""


def _one_sided(fact: Fact, inverses: dict[str, str]) -> Fact:
    """The fact itself, or the same said from the other side: of two inverse names one is used throughout."""
    inverse = _inverse(fact.relation, inverses)
    turned = Fact(fact.second, inverse, fact.first)
    return min(fact, turned, key=lambda f: (f.relation.startswith("inverse_"), f.relation, f)) if inverse else fact
