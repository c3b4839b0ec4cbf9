"""ICD coding: which of the most frequent codes a discharge summary documents."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from mdkif import ConversionReport, Record

from .caml import caml_splits
from .edition import Edition, Mark
from .labels import label_records
from .options import Options


def icd(edition: Edition, conversion: ConversionReport, options: Options) -> Iterator[Record]:
    """One record per admission with a discharge summary; a code counts once per admission.

    Codes of both tables have their dots before they are merged. The id lists of CAML (Mullenbach et
    al. 2018) may not be shipped: with the option `caml` they are read, and admissions outside them left out.
    """

    def codes() -> Iterator[Mark]:
        return chain.from_iterable(edition.codes(kind, conversion) for kind in options.kinds)

    yield from label_records(
        edition,
        conversion,
        options,
        view="icd",
        request=f"Which {' and '.join(options.kinds)} are documented?",
        read=codes,
        titles={code: title for kind in options.kinds for code, title in edition.titles(kind, conversion).items()},
        splits=caml_splits(options.caml, options.top, conversion) if options.caml else None,
        what="code",
    )
