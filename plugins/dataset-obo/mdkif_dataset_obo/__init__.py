"""Human Disease Ontology, or any other ontology in the OBO 1.2 format: `doid.obo` as its release ships it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mdkif import BadInput, ConversionReport, Dataset, Record, hookimpl
from mdkif_dataset_umls.pairs import (
    RELATE,
    Sample,
    Synonym,
    Vocabulary,
    draw,
    explanation,
    one_of,
    plain,
    relation,
    synonym_pairs,
    whole_number,
)

from .obo import SCOPES, Term, terms

NAME = "disease-ontology"
KIND_OF, BROADER, UNRELATED = "is a kind of", "is a broader term than", "is not related to"
IS_KIND = "Is the first concept a kind of the second?"


@hookimpl
def mdkif_datasets() -> list[Dataset]:
    """The data set `disease-ontology`."""
    return [
        Dataset(
            name=NAME,
            title="Human Disease Ontology: definitions, synonyms and hierarchy of diseases",
            target="mdkif_dataset_obo:convert",
            licence="CC0 1.0 (releases before 2018: CC BY 3.0)",
            access="open",
            homepage="https://github.com/DiseaseOntology/HumanDiseaseOntology",
            citation="Schriml et al., The Human Disease Ontology 2022 update, Nucleic Acids Research 2022",
            options={
                "view": "ea (explain a concept), es (do two terms mean the same), er (relation of two concepts), "
                "isa (is the first a kind of the second)",
                "scopes": "synonym scopes that count as the same for es, joined by commas, of " + " ".join(SCOPES),
                "negatives": "for es and isa: near (terms that share words, or the line reversed) or any",
                "seed": "another seed draws other negatives and another sample",
                "limit": "how many records to sample; 0 keeps all",
            },
        )
    ]


@dataclass(frozen=True)
class Wanted:
    """Which synonyms count as the same, and whether what is contrasted with a term is near to it."""

    scopes: tuple[str, ...]
    near: bool


@dataclass(frozen=True)
class Edge:
    """An `is_a` line between two live terms of the file."""

    child: str
    parent: str
    line: int


class Hierarchy:
    """The live terms of a file and who is a kind of whom."""

    def __init__(self, live: list[Term], conversion: ConversionReport) -> None:
        self.names = {term.id: term.name for term in live}
        self.ids = list(self.names)
        edges: list[Edge] = []
        self._parents: dict[str, list[str]] = {}
        self._children: dict[str, list[str]] = {}
        for term in live:
            for parent, line in term.parents:
                if parent not in self.names:
                    conversion.leave_out("is_a to a term that is obsolete or not in the file")
                    continue
                if parent in self._parents.get(term.id, ()):
                    conversion.leave_out("is_a that the term has twice")
                    continue
                edges.append(Edge(term.id, parent, line))
                self._parents.setdefault(term.id, []).append(parent)
                self._children.setdefault(parent, []).append(term.id)
        # In a circle every term is a kind of every other, so no line of it has a right answer.
        self.edges = [edge for edge in edges if edge.child not in self._above(edge.parent)]
        if circular := len(edges) - len(self.edges):
            conversion.leave_out("is_a within a circle of terms", circular)

    def related(self, one: str, other: str) -> bool:
        """Whether they are the same or one is a kind of the other, at any distance."""
        return one in self._above(other) or other in self._above(one)

    def sibling(self, edge: Edge, key: int) -> str | None:
        """Another child of the edge's parent that is not related to its child."""
        choices = [child for child in self._children[edge.parent] if not self.related(child, edge.child)]
        return choices[key % len(choices)] if choices else None

    def stranger(self, edge: Edge, key: int) -> str | None:
        """Any term that is not related to the edge's child; the search starts at a hashed place."""
        start = key % len(self.ids)
        turned = (self.ids[(start + step) % len(self.ids)] for step in range(len(self.ids)))
        return next((other for other in turned if not self.related(other, edge.child)), None)

    def _above(self, term: str) -> set[str]:
        """The term and all its ancestors, even where the file has a cycle."""
        found, waiting = {term}, [term]
        while waiting:
            fresh = [parent for parent in self._parents.get(waiting.pop(), ()) if parent not in found]
            found.update(fresh)
            waiting += fresh
        return found


def convert(
    source: Path,
    conversion: ConversionReport,
    *,
    view: str = "ea",
    scopes: str = "EXACT",
    negatives: str = "near",
    seed: int = 0,
    limit: int = 0,
) -> Iterator[Record]:
    """Records of one view of an `.obo` file, or of the folder that holds it; obsolete terms are left out.

    The group of a record is the term it is about, of an `is_a` line always the narrower one, so one
    line of the ontology is in the same split in every view. Raises BadInput for a folder without
    the ontology and for a wrong option.
    """
    views = {"ea": _explanations, "es": _synonyms, "er": _relations, "isa": _kinds}
    make = views[one_of("view", view, views)]
    wanted = Wanted(
        tuple(one_of("scopes", scope.strip().upper(), SCOPES) for scope in scopes.split(",")),
        near=one_of("negatives", negatives, ("near", "any")) == "near",
    )
    sample = Sample(whole_number("limit", limit), whole_number("seed", seed), conversion)
    path = _ontology(source)
    live = []
    for term in terms(path, conversion):
        if term.obsolete:
            conversion.leave_out("obsolete term")
        else:
            live.append(term)
    yield from sample.of(make(path, live, wanted, sample, conversion))


def _ontology(source: Path) -> Path:
    """The file itself, or of a folder its doid.obo, else its newest doid*.obo, else its only .obo file."""
    if source.is_file():
        return source
    for folder in (source, source / "src" / "ontology"):
        named, every = sorted(folder.glob("doid*.obo")), sorted(folder.glob("*.obo"))
        if (folder / "doid.obo") in named:
            return folder / "doid.obo"
        if named or len(every) == 1:
            return (named or every)[-1]
    raise BadInput(f"There is no doid*.obo in {source}: give the ontology's .obo file or the folder that holds it.")


def _explanations(
    path: Path, live: list[Term], wanted: Wanted, sample: Sample, conversion: ConversionReport
) -> Iterator[Record]:
    for term in live:
        if term.definition and plain(term.definition.text):
            text, place = plain(term.definition.text), f"{path.name}:{term.definition.line}"
            yield explanation(NAME, term.id, term.name, text, place)
        else:
            conversion.leave_out("term without a definition")


def _synonyms(
    path: Path, live: list[Term], wanted: Wanted, sample: Sample, conversion: ConversionReport
) -> Iterator[Record]:
    vocabulary = Vocabulary()
    for term in live:
        for synonym in term.synonyms:
            if synonym.scope in wanted.scopes:
                vocabulary.add(synonym.text, term.id)
    for term in live:
        same = [
            Synonym(str(number), text, f"{path.name}:{line}")
            for number, (text, scope, line) in enumerate(term.synonyms, 1)
            if scope in wanted.scopes
        ]
        if len(same) < len(term.synonyms):
            conversion.leave_out("synonym of another scope", len(term.synonyms) - len(same))
        also = [synonym.text for synonym in term.synonyms]
        yield from synonym_pairs(NAME, term.id, term.name, same, also, vocabulary, sample, conversion, wanted.near)


def _relations(
    path: Path, live: list[Term], wanted: Wanted, sample: Sample, conversion: ConversionReport
) -> Iterator[Record]:
    """One record per `is_a` line: as it stands, turned round, or with a stranger in the parent's place."""
    tree = Hierarchy(live, conversion)
    for edge in tree.edges:
        key = draw(sample.seed, "er", edge.child, edge.parent)
        gold = (KIND_OF, BROADER, UNRELATED)[key % 3]
        other = tree.stranger(edge, key // 3) if gold == UNRELATED else edge.parent
        if other is None:
            conversion.leave_out("term that every other term is related to")
            continue
        first, second = (other, edge.child) if gold == BROADER else (edge.child, other)
        yield relation(
            f"{NAME}/er/{edge.child}/{edge.parent}",
            RELATE,
            (tree.names[first], tree.names[second]),
            (KIND_OF, BROADER, UNRELATED),
            gold,
            edge.child,
            f"{path.name}:{edge.line}",
        )


def _kinds(
    path: Path, live: list[Term], wanted: Wanted, sample: Sample, conversion: ConversionReport
) -> Iterator[Record]:
    """Two records per `is_a` line: yes for the line, no for it reversed or with a sibling or a stranger as parent.

    Negatives that are not near are strangers alone.
    """
    tree = Hierarchy(live, conversion)
    for edge in tree.edges:
        key = draw(sample.seed, "isa", edge.child, edge.parent)
        stranger, reverse = tree.stranger(edge, key // 3), (edge.parent, edge.child)
        others = (tree.sibling(edge, key // 3), stranger)
        wrong = [reverse, *((edge.child, other) for other in others if other)]
        if stranger and not wanted.near:
            wrong = [(edge.child, stranger)]
        for answer, (narrow, broad) in (("yes", (edge.child, edge.parent)), ("no", wrong[key % len(wrong)])):
            yield relation(
                f"{NAME}/isa/{edge.child}/{edge.parent}#{answer}",
                IS_KIND,
                (tree.names[narrow], tree.names[broad]),
                ("yes", "no"),
                answer,
                edge.child,
                f"{path.name}:{edge.line}",
            )
