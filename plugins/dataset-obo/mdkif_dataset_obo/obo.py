"""Reader of OBO 1.2 files: terms with their definitions, synonyms and is_a parents, each with its line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from mdkif import BadInput, ConversionReport, text_lines

SCOPES = ("EXACT", "RELATED", "NARROW", "BROAD")

_QUOTED = re.compile(r'"((?:\\.|[^"\\])*)"\s*([A-Z]*)\s*([^\s\[{]*)')
_TRAILING = re.compile(r"\s+!.*$|\s*(?<!\\)\{[^{}]*\}\s*(?:!.*)?$")
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"n": "\n", "W": " ", "t": "\t"}


class Text(NamedTuple):
    """A quoted text of a term, such as a definition or a synonym with its scope and type."""

    text: str
    scope: str
    line: int
    kind: str = ""


class Parent(NamedTuple):
    """The term that an `is_a` line points to."""

    id: str
    line: int


@dataclass
class Term:
    """A [Term] stanza; `line` is where it starts."""

    line: int
    id: str = ""
    name: str = ""
    definition: Text | None = None
    synonyms: list[Text] = field(default_factory=list)
    parents: list[Parent] = field(default_factory=list)
    obsolete: bool = False


def terms(path: Path, conversion: ConversionReport) -> Iterator[Term]:
    """The terms of an OBO file in their order, the obsolete ones included; other stanzas are passed over.

    Escapes are undone; cross-references, trailing `{modifiers}` and `! comments` are dropped; a
    backslash at the end of a line continues it. A synonym without a scope is RELATED, as OBO 1.2
    says. Raises BadInput for a definition or synonym without quoted text, for a term without an id
    or a name, for an id that comes twice, and for a file without any term.
    """
    seen: set[str] = set()
    for term in _stanzas(path, conversion):
        if not term.id or not term.name:
            conversion.malformed(path, term.line, "starts a term without an id or a name")
        elif term.id in seen:
            conversion.malformed(path, term.line, "starts a term whose id came before")
        else:
            seen.add(term.id)
            yield term
    if not seen:
        raise BadInput(f"There is no [Term] in {path}: give an ontology in the OBO format.")


def release(path: Path) -> str:
    """What the header of an OBO file calls its release, such as "hp/releases/2025-01-16"; empty if it says nothing.

    Raises BadInput for a file that cannot be read.
    """
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for line in takewhile(lambda each: not each.startswith("["), lines):
                if line.startswith("data-version:"):
                    return line.partition(":")[2].strip()
    except (OSError, UnicodeError):
        raise BadInput(f"The ontology {path} cannot be read: install it again, or give another copy.") from None
    return ""


def _stanzas(path: Path, conversion: ConversionReport) -> Iterator[Term]:
    term: Term | None = None
    for number, line in _lines(path, conversion):
        if line.startswith("["):
            if term:
                yield term
            term = Term(number) if line == "[Term]" else None
        elif term and line and not line.startswith("!"):
            _read(term, path, number, line, conversion)
    if term:
        yield term


def _lines(path: Path, conversion: ConversionReport) -> Iterator[tuple[int, str]]:
    """Stripped lines with their numbers, continued ones joined under the first number."""
    begun, start = "", 0
    with text_lines(path, conversion) as lines:
        for number, line in enumerate(lines, 1):
            start = start if begun else number
            begun += line.rstrip()
            if re.search(r"(?<!\\)(?:\\\\)*\\$", begun):
                begun = begun[:-1]
                continue
            yield start, begun.strip()
            begun = ""
    if begun:
        yield start, begun.strip()


def _read(term: Term, path: Path, number: int, line: str, conversion: ConversionReport) -> None:
    tag, _, value = line.partition(":")
    value = value.strip()
    if tag in ("def", "synonym"):
        quoted = _QUOTED.match(value)
        if not quoted:
            conversion.malformed(path, number, f"has a {tag} without a quoted text")
            return
        scope, kind = (quoted[2], quoted[3]) if quoted[2] in SCOPES else ("RELATED", quoted[2] + quoted[3])
        text = Text(_unescape(quoted[1]), scope, number, kind)
        if tag == "def":
            term.definition = text
        else:
            term.synonyms.append(text)
        return
    value = _TRAILING.sub("", value)
    if tag == "id":
        term.id = value
    elif tag == "name":
        term.name = _unescape(value)
    elif tag == "is_a":
        term.parents.append(Parent(value, number))
    elif tag == "is_obsolete":
        term.obsolete = value == "true"


def _unescape(text: str) -> str:
    return " ".join(_ESCAPE.sub(lambda match: _ESCAPED.get(match[1], match[1]), text).split())
