"""Rules for data sets: what they state, and what their converter makes of whole, damaged and unchanged files."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from ..contract.declarations import Dataset, InstalledData
from ..data.conversion import ConversionReport, convert
from ..data.records import Record
from ..errors import BadInput
from ..inspection import damage
from ..inspection.elsewhere import Digest, Elsewhere
from ..inspection.finding import Finding, finding, findings, told
from ..inspection.records import RULES as OF_RECORDS
from ..inspection.records import RecordRule, examine
from ..inspection.samples import NO_SAMPLE
from ..inspection.surroundings import offline

CONVERTS, OFFLINE, SAME = "converts a sample", "needs no network", "gives the same records in another process"
CAREFUL, SILENT = "takes damaged files for bad input", "never quotes a row that it cannot read"
EXAMPLES = 20


def dataset(
    declared: Dataset, subject: str, path: Path | None, elsewhere: Elsewhere, shipped: Path | None = None
) -> Iterator[Finding]:
    """The rules for a data set, on the files at `path`; what damages them is tried on those `shipped`, if there are."""
    yield from findings(subject, RULES, declared)
    if path is None:
        yield Finding(subject, CONVERTS, "not checked", NO_SAMPLE.format(declared.name))
        return
    found = list(converted(declared, subject, path, {}, elsewhere, {name: rule() for name, rule in OF_RECORDS.items()}))
    yield from found
    if found[0].state == "kept":
        yield from _damaged(declared, subject, shipped or path)


def converted(
    declared: Dataset,
    subject: str,
    path: Path,
    options: Mapping[str, Any],
    elsewhere: Elsewhere,
    rules: Mapping[str, RecordRule],
) -> Iterator[Finding]:
    """What all records of a source say of the converter, the first of the findings, and of each rule for records."""
    digest, found, failed = Digest(), None, ""
    with offline() as tried:
        try:
            found = examine(_noted(convert(declared, path, ConversionReport(skip_bad=True), options), digest), rules)
        except (Exception, SystemExit) as error:
            failed = told(error, declared.target)
    if not failed and not digest.records:
        failed = f"The sample {path} gives no record."
    if failed and tried:
        failed = f"It could not connect to {tried[0]}, and nothing else is known to be wrong."
    yield Finding(subject, CONVERTS, "broken" if failed else "kept", failed, digest.records)
    yield finding(subject, OFFLINE, lambda: [_network(tried)] if tried else [])
    if failed or found is None:
        return
    yield finding(subject, SAME, lambda: _same(digest, elsewhere.digest(declared, path, options)))
    for name in rules:
        problem = found.problems.get(name, "")
        yield Finding(subject, name, "broken" if problem else "kept", problem, found.records)


def _noted(records: Iterable[Record], digest: Digest) -> Iterator[Record]:
    for record in records:
        digest.add(record)
        yield record


def _network(tried: list[str]) -> str:
    return f"The converter connects to {tried[0]}: name the files to be given in its place."


def _same(here: Digest, there: Digest | str) -> Iterator[str]:
    if isinstance(there, str):
        yield f"Converting the same files in another process fails ({there}): keep nothing from import to conversion."
    elif here.records == there.records and here.ids != there.ids:
        yield "Its ids change from process to process: make them of file, line or the data's own ids, never of hash()."
    elif here.ordered != there.ordered and here.in_any_order == there.in_any_order:
        yield "Its records come in another order in another process: sort what comes out of a set."
    elif here != there:
        yield (
            "Converting the same files again gives other records: draw nothing at random, or by a fixed seed, "
            "and remember nothing between two conversions."
        )


def _damaged(declared: Dataset, subject: str, path: Path) -> Iterator[Finding]:
    if not damage.is_small(path):
        for rule in (CAREFUL, SILENT):
            yield Finding(subject, rule, "not checked", f"{path} is too large to be damaged: ship a small sample.")
        return
    records = list(islice(convert(declared, path, ConversionReport(skip_bad=True)), EXAMPLES))
    found = damage.damaged(declared, path, {}, records)
    yield finding(subject, CAREFUL, lambda: [found.fault] if found.fault else [])
    yield finding(subject, SILENT, lambda: [found.quoted] if found.quoted else [])


def _access(declared: Dataset) -> Iterator[str]:
    for field in ("licence", "access", "homepage"):
        if not str(getattr(declared, field)).strip():
            yield f"The data set '{declared.name}' has no {field}: state it, 'open' or 'unknown' if so it is."


def _options(declared: Dataset) -> Iterator[str]:
    parameters = inspect.signature(declared.load()).parameters.values()
    known = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
    if missing := known ^ set(declared.options):
        yield f"The option '{min(missing)}' is in the converter or in the declaration's options, not in both."


def _installed(declared: Dataset) -> Iterator[str]:
    """A package that is missing is told by BadInput, which is no fault of the plugin."""
    with suppress(BadInput):
        found = declared.find()
        if found is not None and not isinstance(found, InstalledData):
            yield f"Its {declared.installed} returns a {type(found).__name__}: return mdkif.InstalledData."
        elif found is not None and not (found.path.exists() and found.release.strip()):
            yield f"Its {declared.installed} names no release, or files that do not exist: raise BadInput if they lack."


RULES: dict[str, Callable[[Dataset], Iterable[str]]] = {
    "finds its installed files, or says what to install": _installed,
    "says how its data is got": _access,
    "its code loads, and its options are documented": _options,
}
ON_FILES = (CONVERTS, OFFLINE, SAME, *OF_RECORDS, CAREFUL, SILENT)
