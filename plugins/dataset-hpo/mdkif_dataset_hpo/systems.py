"""Which system of the body a finding belongs to: the branches below `Phenotypic abnormality`."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from mdkif import BadInput, ConversionReport, Record, format_choices
from mdkif_dataset_obo.hierarchy import Hierarchy
from mdkif_dataset_obo.obo import Term
from mdkif_dataset_obo.views import Ontology
from mdkif_dataset_umls.pairs import draw

ROOT = "Phenotypic abnormality"
WHICH = "Which system of the body does the finding belong to?"
MOST = 500
"""At most so many findings of one system: without, a third would be of the musculoskeletal system."""


def systems(ontology: Ontology, seed: int, conversion: ConversionReport) -> Iterator[Record]:
    """One record per finding that belongs to one branch alone and does not say which by a word of its name."""
    tree = Hierarchy(ontology.live, conversion)
    roots = {term.id for term in ontology.live if term.name == ROOT}
    labels = {t.id: label(t.name) for t in ontology.live if any(parent.id in roots for parent in t.parents)}
    if not labels:
        raise BadInput(f"The ontology {ontology.file} has nothing below '{ROOT}': give that of phenotypes, hp.obo.")
    options = tuple(sorted(labels.values(), key=str.casefold))
    of_system = defaultdict[str, list[Term]](list)
    for term in ontology.live:
        above = labels.keys() & (tree.above(term.id) - {term.id})
        if len(above) != 1:
            conversion.leave_out("term of no system, or of several")
        elif telling(term.name, options):
            conversion.leave_out("finding with a word of a system in its name")
        else:
            of_system[labels[above.pop()]].append(term)
    for found in of_system.values():
        found.sort(key=lambda term: draw(seed, "system", term.id))
        conversion.leave_out("finding beyond those taken of its system", len(found[MOST:]))
    system_of = {term.id: name for name, found in of_system.items() for term in found[:MOST]}
    for term in ontology.live:
        if term.id in system_of:
            yield Record(
                id=f"{ontology.name}/system/{term.id}",
                context=term.name,
                group=(group := ontology.group(term.id)),
                split=ontology.split(group),
                source=f"{ontology.file}:{term.line}",
                **format_choices(WHICH, options, [system_of[term.id]]),
            )


def label(name: str) -> str:
    """What a branch is about.

    >>> label("Abnormality of the eye"), label("Growth abnormality")
    ('eye', 'Growth abnormality')
    """
    return re.sub(r"^Abnormality of (the )?", "", name)


def telling(name: str, labels: tuple[str, ...]) -> bool:
    """Whether a word of a name begins as one of a label does: it would say which system it is."""
    stems = {word[:5].rstrip("s") for each in labels for word in re.findall(r"\w{3,}", each.casefold())} - COMMON
    return any(word.startswith(tuple(stems)) for word in re.findall(r"\w{3,}", name.casefold()))


COMMON = {"and", "the", "syste", "abnor", "pheno"}
