"""What an ontology's terms are asked about: their definitions, synonyms and hierarchy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from mdkif import ConversionReport, Record
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

from .hierarchy import Hierarchy
from .obo import SCOPES, Term

KIND_OF, BROADER, UNRELATED = "is a kind of", "is a broader term than", "is not related to"
IS_KIND = "Is the first concept a kind of the second?"
OPTIONS = {
    "view": "ea (explain a concept), es (do two terms mean the same), er (relation of two concepts), "
    "isa (is the first a kind of the second)",
    "scopes": "synonym scopes that count as the same for es, joined by commas, of " + " ".join(SCOPES),
    "negatives": "for es and isa: near (terms that share words, or the line reversed) or any",
    "seed": "another seed draws other negatives and another sample",
    "limit": "how many records to sample; 0 keeps all",
}
"""The options of `wanted`, each with one line of help, as a `Dataset` declares them."""


@dataclass(frozen=True)
class Ontology:
    """The live terms of a data set's `file`; `group` says of a term's id what must not straddle splits.

    `split` says of a group which split it is, "" to leave that to the split policy.
    The group of a record is that of the term it is about, of an `is_a` line always the narrower one, so one line of
    the ontology is in the same split in every view.
    """

    name: str
    file: str
    live: list[Term]
    group: Callable[[str], str] = str
    split: Callable[[str], str] = lambda group: ""

    def records(self, view: str, wanted: Wanted, conversion: ConversionReport) -> Iterator[Record]:
        """The records of one of the `VIEWS`."""
        sample = Sample(wanted.limit, wanted.seed, conversion)
        for record in sample.of(VIEWS[view](self, wanted, sample, conversion)):
            group = self.group(record.group)
            yield replace(record, group=group, split=self.split(group))


@dataclass(frozen=True)
class Wanted:
    """Which synonyms count as the same, whether what is contrasted with a term is near to it, and the sample."""

    scopes: tuple[str, ...] = ("EXACT",)
    near: bool = True
    seed: int = 0
    limit: int = 0


def wanted(*, scopes: str, negatives: str, seed: int, limit: int) -> Wanted:
    """What the options of a converter say. Raises BadInput for one that is wrong."""
    return Wanted(
        tuple(one_of("scopes", scope.strip().upper(), SCOPES) for scope in scopes.split(",")),
        near=one_of("negatives", negatives, ("near", "any")) == "near",
        seed=whole_number("seed", seed),
        limit=whole_number("limit", limit),
    )


def living(found: Iterator[Term], conversion: ConversionReport) -> list[Term]:
    """The terms that are not obsolete; the others are counted."""
    live = []
    for term in found:
        if term.obsolete:
            conversion.leave_out("obsolete term")
        else:
            live.append(term)
    return live


def explanations(ontology: Ontology, wanted: Wanted, sample: Sample, conversion: ConversionReport) -> Iterator[Record]:
    """One record per definition: the term's name is the context, the text the answer."""
    for term in ontology.live:
        if term.definition and plain(term.definition.text):
            text, place = plain(term.definition.text), f"{ontology.file}:{term.definition.line}"
            yield explanation(ontology.name, term.id, term.name, text, place)
        else:
            conversion.leave_out("term without a definition")


def synonyms(ontology: Ontology, wanted: Wanted, sample: Sample, conversion: ConversionReport) -> Iterator[Record]:
    """Two records per synonym of the wanted scopes: it means the same as the term's name, and another term does not."""
    vocabulary = Vocabulary()
    for term in ontology.live:
        for synonym in term.synonyms:
            if synonym.scope in wanted.scopes:
                vocabulary.add(synonym.text, term.id)
    for term in ontology.live:
        same = [
            Synonym(str(number), text, f"{ontology.file}:{line}")
            for number, (text, scope, line, _) in enumerate(term.synonyms, 1)
            if scope in wanted.scopes
        ]
        if len(same) < len(term.synonyms):
            conversion.leave_out("synonym of another scope", len(term.synonyms) - len(same))
        also = [synonym.text for synonym in term.synonyms]
        yield from synonym_pairs(
            ontology.name, term.id, term.name, same, also, vocabulary, sample, conversion, wanted.near
        )


def relations(ontology: Ontology, wanted: Wanted, sample: Sample, conversion: ConversionReport) -> Iterator[Record]:
    """One record per `is_a` line: as it stands, turned round, or with a stranger in the parent's place."""
    tree = Hierarchy(ontology.live, conversion)
    for edge in tree.edges:
        key = draw(sample.seed, "er", edge.child, edge.parent)
        gold = (KIND_OF, BROADER, UNRELATED)[key % 3]
        other = tree.stranger(edge, key // 3) if gold == UNRELATED else edge.parent
        if other is None:
            conversion.leave_out("term that every other term is related to")
            continue
        first, second = (other, edge.child) if gold == BROADER else (edge.child, other)
        yield relation(
            f"{ontology.name}/er/{edge.child}/{edge.parent}",
            RELATE,
            (tree.names[first], tree.names[second]),
            (KIND_OF, BROADER, UNRELATED),
            gold,
            edge.child,
            f"{ontology.file}:{edge.line}",
        )


def kinds(ontology: Ontology, wanted: Wanted, sample: Sample, conversion: ConversionReport) -> Iterator[Record]:
    """Two records per `is_a` line: yes for the line, no for it reversed or with a sibling or a stranger as parent.

    Negatives that are not near are strangers alone.
    """
    tree = Hierarchy(ontology.live, conversion)
    for edge in tree.edges:
        key = draw(sample.seed, "isa", edge.child, edge.parent)
        stranger, reverse = tree.stranger(edge, key // 3), (edge.parent, edge.child)
        others = (tree.sibling(edge, key // 3), stranger)
        wrong = [reverse, *((edge.child, other) for other in others if other)]
        if stranger and not wanted.near:
            wrong = [(edge.child, stranger)]
        for answer, (narrow, broad) in (("yes", (edge.child, edge.parent)), ("no", wrong[key % len(wrong)])):
            yield relation(
                f"{ontology.name}/isa/{edge.child}/{edge.parent}#{answer}",
                IS_KIND,
                (tree.names[narrow], tree.names[broad]),
                ("yes", "no"),
                answer,
                edge.child,
                f"{ontology.file}:{edge.line}",
            )


VIEWS = {"ea": explanations, "es": synonyms, "er": relations, "isa": kinds}
