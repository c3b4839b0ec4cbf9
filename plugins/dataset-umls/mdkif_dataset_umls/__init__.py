"""UMLS Metathesaurus in Rich Release Format: `META/{MRCONSO,MRDEF,MRREL}.RRF` as MetamorphoSys writes them."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple, TypeVar

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

VIEWS = ("ea", "es", "er")
MOST_RELATIONS = 8


class Atom(NamedTuple):
    """A row of MRCONSO.RRF: one name of a concept in one source vocabulary."""

    CUI: str
    LAT: str
    TS: str
    LUI: str
    STT: str
    SUI: str
    ISPREF: str
    AUI: str
    SAUI: str
    SCUI: str
    SDUI: str
    SAB: str
    TTY: str
    CODE: str
    STR: str
    SRL: str
    SUPPRESS: str
    CVF: str

    @property
    def wanted(self) -> bool:
        """Whether it is an English name that is not suppressed."""
        return self.LAT == "ENG" and self.SUPPRESS == "N"

    @property
    def preferred(self) -> bool:
        """Whether it is the preferred form of its concept's preferred term."""
        return (self.TS, self.STT, self.ISPREF) == ("P", "PF", "Y")


class Definition(NamedTuple):
    """A row of MRDEF.RRF."""

    CUI: str
    AUI: str
    ATUI: str
    SATUI: str
    SAB: str
    DEF: str
    SUPPRESS: str
    CVF: str


class Relation(NamedTuple):
    """A row of MRREL.RRF. It reads backwards: the SECOND concept has the relation to the FIRST."""

    CUI1: str
    AUI1: str
    STYPE1: str
    REL: str
    CUI2: str
    AUI2: str
    STYPE2: str
    RELA: str
    RUI: str
    SRUI: str
    SAB: str
    SL: str
    RG: str
    DIR: str
    SUPPRESS: str
    CVF: str


class Documentation(NamedTuple):
    """A row of MRDOC.RRF; those of type `rela_inverse` say which relation is another's inverse."""

    DOCKEY: str
    VALUE: str
    TYPE: str
    EXPL: str


Row = TypeVar("Row", Atom, Definition, Relation, Documentation)


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


def rows(path: Path, shape: Callable[..., Row], conversion: ConversionReport) -> Iterator[tuple[int, Row]]:
    """The rows of an RRF file with their line numbers: UTF-8, no header, no quoting, `|` after every field.

    Raises BadInput if the file is not there, or for a row with another number of fields.
    """
    if not path.is_file():
        raise BadInput(f"The file {path} is not there: let MetamorphoSys write {path.name} into the META folder.")
    width = len(inspect.signature(shape).parameters)
    with path.open(encoding="utf-8-sig", newline="\n") as lines:
        for number, line in enumerate(lines, 1):
            fields = line.rstrip("\r\n").split("|")
            if len(fields) != width + 1 or fields[-1]:
                conversion.malformed(path, number, f"does not have {width} fields with a | after each")
                continue
            yield number, shape(*fields[:-1])


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


def _by_concept(
    path: Path, shape: Callable[..., Row], conversion: ConversionReport
) -> Iterator[tuple[str, list[tuple[int, Row]]]]:
    """The rows of one concept after another; official files are sorted by CUI."""
    last = ""
    for cui, group in groupby(rows(path, shape, conversion), key=lambda item: item[1][0]):
        if cui < last:
            raise BadInput(f"The file {path} is not sorted by CUI as NLM ships it: sort it with LC_ALL=C sort.")
        last = cui
        yield cui, list(group)


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
    for cui, group in _by_concept(path, Definition, conversion):
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
    for cui, group in _by_concept(path, Atom, conversion):
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
