"""Human Disease Ontology, or any other ontology in the OBO 1.2 format: `doid.obo` as its release ships it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mdkif import BadInput, ConversionReport, Dataset, Record, hookimpl
from mdkif_dataset_umls.pairs import one_of

from .obo import terms
from .views import OPTIONS, VIEWS, Ontology, living, wanted

NAME = "disease-ontology"


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
            options=OPTIONS,
        )
    ]


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
    chosen = one_of("view", view, VIEWS)
    asked = wanted(scopes=scopes, negatives=negatives, seed=seed, limit=limit)
    path = _ontology(source)
    yield from Ontology(NAME, path.name, living(terms(path, conversion), conversion)).records(chosen, asked, conversion)


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
