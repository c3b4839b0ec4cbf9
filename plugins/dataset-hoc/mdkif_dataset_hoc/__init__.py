"""Hallmarks of Cancer as its authors distribute it: `text/<pmid>.txt` and `labels/<pmid>.txt`, an abstract each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mdkif import BadInput, ConversionReport, Dataset, Record, format_choices, hookimpl

HALLMARKS = (
    "Sustaining proliferative signaling",
    "Evading growth suppressors",
    "Resisting cell death",
    "Enabling replicative immortality",
    "Inducing angiogenesis",
    "Activating invasion and metastasis",
    "Genomic instability and mutation",
    "Tumor promoting inflammation",
    "Cellular energetics",
    "Avoiding immune destruction",
)
REQUEST = "Which hallmarks of cancer does the abstract describe?"


@hookimpl
def mdkif_datasets() -> list[Dataset]:
    """The data set `hoc`."""
    return [
        Dataset(
            name="hoc",
            title="Hallmarks of Cancer: PubMed abstracts with ten classes",
            target="mdkif_dataset_hoc:convert",
            licence="GPL-3.0",
            access="open",
            homepage="https://github.com/sb895/Hallmarks-of-Cancer",
            citation="Baker et al. 2016, Automatic semantic classification of scientific literature according to the "
            "hallmarks of cancer, Bioinformatics 32(3)",
            options={
                "keep_empty": "whether abstracts without a hallmark stay, with the answer none: no (default) or yes"
            },
        )
    ]


def convert(source: Path, conversion: ConversionReport, *, keep_empty: str = "no") -> Iterator[Record]:
    """The abstracts (1,852) in the order of their names, each with the top-level hallmarks of its sentences.

    `source` is the folder that holds `text` and `labels`. A text file has a sentence a line; a labels file has one
    line with a `<` before each sentence's labels, which ` AND` joins and whose levels `--` parts; an
    empty one or NULL means none. There are no official splits. Raises BadInput for another folder or option value.
    """
    if keep_empty not in ("no", "yes"):
        raise BadInput(f"The option keep_empty cannot be '{keep_empty}': choose no or yes.")
    for name in _names(source):
        text, labels = source / "text" / name, source / "labels" / name
        try:
            abstract = text.read_text(encoding="utf-8-sig").strip()
            first, *segments = labels.read_text(encoding="utf-8-sig").split("<")
        except FileNotFoundError as missing:
            conversion.malformed(missing.filename, 1, "is missing beside its text or labels")
            continue
        except UnicodeDecodeError:
            conversion.malformed(text, 1, "is not UTF-8, or its labels are not")
            continue
        if first.strip() or len(segments) != len(abstract.split("\n")):
            conversion.malformed(labels, 1, "does not have a < and labels for each sentence of its text")
            continue
        found = {hallmark for segment in segments for hallmark in _hallmarks(segment)}
        if not found <= set(HALLMARKS):
            conversion.malformed(labels, 1, "names a class that is none of the ten hallmarks")
        elif not abstract or (not found and keep_empty == "no"):
            conversion.leave_out("no hallmark" if abstract else "empty text")
        else:
            yield Record(
                id=f"hoc/{text.stem}",
                context=abstract,
                group=text.stem,
                source=f"text/{name}",
                **format_choices(REQUEST, HALLMARKS, list(found)),
            )


def _names(source: Path) -> list[str]:
    """The names of all abstracts, which both folders should have."""
    folders = (source / "text", source / "labels")
    names = sorted({path.name for folder in folders for path in folder.glob("*.txt")})
    if names and all(folder.is_dir() for folder in folders):
        return names
    raise BadInput(
        f"There are no text/*.txt and labels/*.txt in {source}: give the folder of the Hallmarks-of-Cancer repository."
    )


def _hallmarks(segment: str) -> set[str]:
    """The top levels of one sentence's labels."""
    tops = {label.partition("--")[0].strip() for label in segment.split(" AND")}
    return tops - {"", "NULL"}
