"""Reader of `phenotype.hpoa`: which disease shows which finding."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mdkif import BadInput, ConversionReport

COLUMNS = ("database_id", "disease_name", "qualifier", "hpo_id", "aspect")
ASPECT = "P"
"""The findings; other aspects are inheritance, course, modifiers and past history."""
NUMBER = re.compile(r"[\s,;]+(?:(?:type|group|due to)\s+)?(?:[ivx]+|\d+\w?|[a-z])$")


@dataclass
class Disease:
    """A disease with the findings that it shows, by their ids; `line` is where it comes first."""

    id: str
    name: str
    line: int
    findings: list[str] = field(default_factory=list)

    @property
    def stem(self) -> str:
        """Its name without numbers at the end: diseases that differ in these alone are alike.

        >>> Disease("OMIM:1", "Developmental and epileptic encephalopathy 96", 1).stem
        'developmental and epileptic encephalopathy'
        """
        stem, before = " ".join(self.name.casefold().split()), ""
        while stem != before:
            before, stem = stem, NUMBER.sub("", stem)
        return stem


@dataclass
class Annotations:
    """The diseases of a file, and how many of its lines say what."""

    file: str
    diseases: dict[str, Disease]
    lines: int = 0


def annotated(path: Path, conversion: ConversionReport) -> Annotations:
    """The diseases in their order, with each finding that is not denied, once.

    Raises BadInput for a file that is none; a line with too few fields is malformed.
    """
    found = Annotations(path.name, {})
    for number, row in _rows(path, conversion):
        found.lines += 1
        if row["aspect"] != ASPECT:
            conversion.leave_out("annotation that is no finding")
        elif row["qualifier"] == "NOT":
            conversion.leave_out("finding that the disease does not show")
        else:
            disease = found.diseases.setdefault(
                row["database_id"], Disease(row["database_id"], row["disease_name"], number)
            )
            if row["hpo_id"] not in disease.findings:
                disease.findings.append(row["hpo_id"])
    return found


def _rows(path: Path, conversion: ConversionReport) -> Iterator[tuple[int, dict[str, str]]]:
    head: list[str] = []
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            fields = line.rstrip("\n").split("\t")
            if not line.strip() or line.startswith("#"):
                continue
            if not head:
                head = fields
                if missing := set(COLUMNS) - set(head):
                    raise BadInput(f"{path}:{number} names no column '{min(missing)}': give phenotype.hpoa.")
            elif len(fields) != len(head) or not all(fields[head.index(name)] for name in ("database_id", "hpo_id")):
                conversion.malformed(path, number, f"has not {len(head)} fields with a disease and a finding")
            else:
                yield number, dict(zip(head, fields, strict=True))
    if not head:
        raise BadInput(f"There is no annotation in {path}: give phenotype.hpoa as it is released.")
