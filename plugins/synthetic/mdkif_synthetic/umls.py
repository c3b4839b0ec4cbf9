"""UMLS Metathesaurus: MRCONSO, MRDEF, MRREL and MRSTY in Rich Release Format, all from source SYNTHETIC.

The knowledge is the same for every seed. Identifiers are invented, in ranges the real ones do not use.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .files import write_text
from .knowledge import conditions, drugs, treats
from .patients import Hospital
from .wording import capital, listed, with_article

SAB = "SYNTHETIC"
SEMANTIC_TYPES = {
    "condition": ("T047", "B2.2.1.2.1", "Disease or Syndrome"),
    "group": ("T047", "B2.2.1.2.1", "Disease or Syndrome"),
    "finding": ("T184", "A2.2.2", "Sign or Symptom"),
    "drug": ("T121", "A1.4.1.1.1", "Pharmacologic Substance"),
    "class": ("T121", "A1.4.1.1.1", "Pharmacologic Substance"),
    "site": ("T023", "A1.2.3.1", "Body Part, Organ, or Organ Component"),
}
SPECIAL_TYPES = {
    "malignant neoplasm": ("T191", "B2.2.1.2.1.2", "Neoplastic Process"),
    "mood disorder": ("T048", "B2.2.1.2.1.1", "Mental or Behavioral Dysfunction"),
}
"""The semantic type of the conditions of these groups, and of the groups."""

INVERSES = {
    "isa": ("CHD", "inverse_isa", "PAR"),
    "may_treat": ("RO", "may_be_treated_by", "RO"),
    "is_finding_of_disease": ("RO", "disease_has_finding", "RO"),
    "cause_of": ("RO", "due_to", "RO"),
    "has_finding_site": ("RO", "finding_site_of", "RO"),
}
"""Relation → its REL, the inverse relation, and the REL of that."""

Key = tuple[str, str]
"""The kind and the name of a concept."""


@dataclass(frozen=True, kw_only=True)
class Atom:
    """One string of a concept as one row of MRCONSO."""

    text: str
    language: str = "ENG"
    status: str = "S"
    form: str = "PF"
    preferred: str = "Y"
    kind: str = "SY"
    code: str = "NOCODE"
    suppress: str = "N"


@cache
def concepts() -> dict[Key, str]:
    """All concepts with their CUI, ordered by kind and name."""
    keys: set[Key] = set()
    for condition in conditions():
        keys |= {("condition", condition.name), ("group", condition.parent), ("site", condition.site)}
        keys |= {("finding", finding) for finding in condition.findings}
    for drug in drugs().values():
        keys |= {("drug", drug.name), ("class", drug.drug_class)}
    return {key: f"C{9900001 + number}" for number, key in enumerate(sorted(keys))}


@cache
def facts() -> tuple[tuple[Key, str, Key], ...]:
    """What the hospital knows as (subject, relation, object): "hypertension isa vascular disease"."""
    known: list[tuple[Key, str, Key]] = []
    names = {condition.code: ("condition", condition.name) for condition in conditions()}
    for condition in conditions():
        this = names[condition.code]
        known += [(this, "isa", ("group", condition.parent)), (this, "has_finding_site", ("site", condition.site))]
        known += [(("drug", drug), "may_treat", this) for drug in condition.drugs]
        known += [(("finding", finding), "is_finding_of_disease", this) for finding in condition.findings]
        known += [(this, "cause_of", names[code]) for code in condition.causes]
    known += [(("drug", drug.name), "isa", ("class", drug.drug_class)) for drug in drugs().values()]
    return tuple(known)


def write(folder: Path, hospital: Hospital) -> dict[str, int]:
    """Write the four files into `folder`/UMLS/META, sorted as NLM ships them, and count their rows."""
    del hospital  # knowledge does not depend on who is ill
    tables = {"MRCONSO": _strings(), "MRDEF": _definitions(), "MRREL": _relations(), "MRSTY": types()}
    for name, rows in tables.items():
        write_rrf(folder / "UMLS" / "META" / f"{name}.RRF", rows)
    counts = {f"umls_{name.lower()}": len(rows) for name, rows in tables.items()}
    return {"umls_concepts": len(concepts()), **counts}


def write_rrf(path: Path, rows: list[list[str]]) -> None:
    """Write one table in Rich Release Format: a bar after every field, rows sorted."""
    write_text(path, "".join(sorted("|".join(row) + "|\n" for row in rows)))


def semantic_type(key: Key) -> tuple[str, str, str]:
    """TUI, tree number and name of the semantic type of a concept."""
    kind, name = key
    if kind == "condition":
        kind, name = "group", next(condition.parent for condition in conditions() if condition.name == name)
    return SPECIAL_TYPES.get(name, SEMANTIC_TYPES[kind])


def atoms(key: Key) -> list[Atom]:
    """The strings of a concept; of conditions also suppressed, non-English and variant ones."""
    kind, name = key
    made = [Atom(text=name, status="P", kind="PT")]
    if kind == "drug":
        made += [Atom(text=brand, kind="BN") for brand in drugs()[name].brands]
    for condition in conditions() if kind == "condition" else ():
        if condition.name == name:
            made += [Atom(text=synonym) for synonym in condition.synonyms]
            made += [Atom(text=condition.long_title, kind="ET", code=condition.code)]
            made += [Atom(text=capital(name), status="P", form="VC", preferred="N")] if name != capital(name) else []
            made += [Atom(text=f"{name} NOS", status="s", suppress="O")]
            made += [Atom(text=condition.spanish, language="SPA", status="P", kind="PT")] if condition.spanish else []
    return made


def _strings() -> list[list[str]]:
    rows: list[list[str]] = []
    lexical: dict[tuple[str, str], str] = {}
    for key, cui in concepts().items():
        for atom in atoms(key):
            number = f"99{len(rows):05d}"
            lui = lexical.setdefault((atom.language, atom.text.lower()), f"L{number}")
            form = (lui, atom.form, f"S{number}", atom.preferred, f"A{number}", "", "", "")
            origin = (SAB, atom.kind, atom.code, atom.text, "0", atom.suppress, "")
            rows.append([cui, atom.language, atom.status, *form, *origin])
    return rows


def _preferred() -> dict[str, str]:
    return {row[0]: row[7] for row in reversed(_strings()) if row[1] == "ENG" and row[6] == "Y"}


def _definitions() -> list[list[str]]:
    """One definition of each condition, drug and finding; every tenth in HTML, every twentieth again and suppressed."""
    rows: list[list[str]] = []
    first = _preferred()
    for number, (cui, text) in enumerate(_defined()):
        shown = f"<p>{text}</p>" if number % 10 == 9 else text
        for suppress in ("N", "O") if number % 20 == 0 else ("N",):
            rows.append([cui, first[cui], f"AT99{len(rows):06d}", "", SAB, shown, suppress, ""])
    return rows


def _defined() -> Iterable[tuple[str, str]]:
    known = concepts()
    for condition in conditions():
        yield known["condition", condition.name], f"{capital(condition.definition)}."
    for drug in drugs().values():
        uses = listed([condition.name for condition in treats(drug.name)])
        yield known["drug", drug.name], f"{capital(with_article(drug.drug_class))} given for {uses}."
    for kind, name in known:
        if kind == "finding":
            seen = listed([condition.name for condition in conditions() if name in condition.findings])
            yield known[kind, name], f"A finding that is typical of {seen}."


def _relations() -> list[list[str]]:
    """Every fact in both directions, then rows without RELA: siblings and concepts related to themselves.

    REL and RELA are what CUI2 has to CUI1, so the subject of a fact is CUI2.
    """
    known, first = concepts(), _preferred()
    rows: list[list[str]] = []

    def add(one: str, rel: str, two: str, rela: str) -> None:
        number = f"R99{len(rows):06d}"
        rows.append([one, first[one], "AUI", rel, two, first[two], "AUI", rela, number, "", SAB, SAB, "", "", "N", ""])

    for subject, relation, target in facts():
        rel, inverse, inverse_rel = INVERSES[relation]
        add(known[target], rel, known[subject], relation)
        add(known[subject], inverse_rel, known[target], inverse)
    named = [(condition.parent, known["condition", condition.name]) for condition in conditions()]
    for parent, one in named:
        for other, two in named:
            if parent == other:
                add(one, "SIB" if one != two else "RQ", two, "")
    return rows


def types() -> list[list[str]]:
    """The rows of MRSTY: the semantic type of every concept."""
    return [[cui, *semantic_type(key), f"AT98{number:06d}", ""] for number, (key, cui) in enumerate(concepts().items())]
