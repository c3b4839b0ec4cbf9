"""Questions with four terms to choose from, of which neither length nor shared letters tell the right one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from mdkif import ConversionReport, MatchedChoices, Record, format_choices, hashed_split
from mdkif_dataset_obo.hierarchy import Hierarchy
from mdkif_dataset_obo.obo import Term
from mdkif_dataset_obo.views import Ontology
from mdkif_dataset_umls.pairs import draw, fold, plain

WHICH_DEFINED = "Which term does the text define?"
WHICH_MEANT = "Which medical term is meant by the patient's words?"
SHARES = (("train", 0.55), ("dev", 0.1), ("test", 0.35))
"""More is for tests than elsewhere: few terms have options among which letters do not tell the right one."""


def definitions(ontology: Ontology, seed: int, conversion: ConversionReport) -> Iterator[Record]:
    """One record per definition that does not name its term."""
    options = TermOptions(ontology, seed, conversion)
    for term in ontology.live:
        text = plain(term.definition.text) if term.definition else ""
        if not text or not term.definition:
            conversion.leave_out("term without a definition")
        elif any(fold(name) in fold(text) for name in (term.name, *(synonym.text for synonym in term.synonyms))):
            conversion.leave_out("definition that names the term")
        else:
            yield from options.record("definition", WHICH_DEFINED, text, term, term.definition.line)


def lay_terms(ontology: Ontology, seed: int, conversion: ConversionReport) -> Iterator[Record]:
    """One record per term with patients' words for it that are neither its name nor another's; a hash picks one."""
    options = TermOptions(ontology, seed, conversion)
    meant = defaultdict[str, set[str]](set)
    for term in ontology.live:
        for name in (term.name, *(synonym.text for synonym in term.synonyms)):
            meant[fold(name)].add(term.id)
    for term in ontology.live:
        words = [synonym for synonym in term.synonyms if synonym.kind == "layperson"]
        own = [word for word in words if fold(word.text) != fold(term.name) and len(meant[fold(word.text)]) == 1]
        if own:
            chosen = own[draw(seed, "lay", term.id) % len(own)]
            yield from options.record("lay", WHICH_MEANT, chosen.text, term, chosen.line)
        elif words:
            conversion.leave_out("term whose patients' words are its name or another's")


class TermOptions:
    """The names of four terms of one split, the right one and three that are no kind of it, nor it of them."""

    def __init__(self, ontology: Ontology, seed: int, conversion: ConversionReport) -> None:
        self._ontology, self._seed, self._conversion = ontology, seed, conversion
        self._tree = Hierarchy(ontology.live, ConversionReport())
        self._ids = {term.name: term.id for term in ontology.live}
        self._pools = pools((name, ontology.group(identity)) for name, identity in self._ids.items())

    def record(self, view: str, query: str, context: str, term: Term, line: int) -> Iterable[Record]:
        """The record that asks for a term by a text, or none if there are no such options."""
        group = self._ontology.group(term.id)
        identity = f"{self._ontology.name}/{view}/{term.id}"
        options = self._pools[split_of(group)].choices(
            term.name, context, f"{self._seed}/{identity}", lambda name: self._unrelated(name, term)
        )
        if options is None:
            self._conversion.leave_out("term without others of its length, nearer and farther")
            return []
        source = f"{self._ontology.file}:{line}"
        choices = format_choices(query, options, [term.name])
        return [Record(id=identity, context=context, group=group, split=split_of(group), source=source, **choices)]

    def _unrelated(self, name: str, term: Term) -> bool:
        return not self._tree.related(self._ids[name], term.id)


def pools(texts: Iterable[tuple[str, str]]) -> dict[str, MatchedChoices]:
    """Texts to choose from by the split of their groups: what skills learn from is no option of a test."""
    found: dict[str, list[str]] = {name: [] for name, _ in SHARES}
    for text, group in texts:
        found[split_of(group)].append(text)
    return {split: MatchedChoices(names) for split, names in found.items()}


def split_of(group: str) -> str:
    """The split of a group in every view."""
    return hashed_split(group, SHARES)
