"""Which finding belongs to a disease: one of its own, and three that other diseases have."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from mdkif import ConversionReport, Record, format_choices
from mdkif_dataset_obo.hierarchy import Hierarchy
from mdkif_dataset_obo.views import Ontology
from mdkif_dataset_umls.pairs import draw

from .annotations import Annotations, Disease
from .questions import pools, split_of

WHICH = "Which finding belongs to the disease?"


def findings(ontology: Ontology, about: Annotations, seed: int, conversion: ConversionReport) -> Iterator[Record]:
    """One record per disease: a finding that a hash chooses among its own, and three that were chosen of others.

    So a finding is as often wrong as it is right, whatever it is. No option that is wrong is a finding of a disease
    of the same name, nor a kind of one, nor of one kind with it.
    """
    tree = Hierarchy(ontology.live, ConversionReport())
    ids = {name: identity for identity, name in tree.names.items()}
    shown = defaultdict[str, set[str]](set)
    chosen: list[tuple[Disease, str]] = []
    for disease in about.diseases.values():
        known = [each for each in disease.findings if each in tree.names]
        shown[disease.stem].update(known)
        if not known:
            conversion.leave_out("disease whose findings are all obsolete")
            continue
        gold = tree.names[known[draw(seed, "finding", disease.id) % len(known)]]
        chosen.append((disease, gold))
    matched = pools((gold, disease.stem) for disease, gold in chosen)
    for disease, gold in chosen:
        own = shown[disease.stem]
        wider = {above for each in own for above in tree.above(each)}

        def foreign(name: str, own: set[str] = own, wider: set[str] = wider) -> bool:
            return ids[name] not in wider and not own & tree.above(ids[name])

        identity = f"{ontology.name}/finding/{disease.id}"
        options = matched[split_of(disease.stem)].choices(gold, disease.name, f"{seed}/{identity}", foreign)
        if options is None:
            conversion.leave_out("disease without findings of others, nearer and farther")
            continue
        yield Record(
            id=identity,
            context=disease.name,
            group=disease.stem,
            split=split_of(disease.stem),
            source=f"{about.file}:{disease.line}",
            **format_choices(WHICH, options, [gold]),
        )
