"""Reader of the ICD-10-CM tabular list: its entries with titles, inclusion terms and chapter, each with its line."""

from __future__ import annotations

import xml.sax
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from xml.sax.handler import ContentHandler
from xml.sax.xmlreader import AttributesImpl, Locator

from mdkif import BadInput, ConversionReport


class Note(NamedTuple):
    """An inclusion term: a condition that the entry stands for."""

    text: str
    line: int


@dataclass
class Entry:
    """A category, subcategory or code; `line` is where it starts, `parent` the code of the entry above it.

    A placeholder stands in the list for the X that fills up its codes; it repeats the title of its parent.
    """

    line: int
    chapter: int
    parent: str = ""
    placeholder: bool = False
    code: str = ""
    title: str = ""
    notes: list[Note] = field(default_factory=list)

    @property
    def category(self) -> str:
        """The three characters that all codes of one condition begin with."""
        return self.code[:3]


@dataclass
class Tabular:
    """The list as it stands in one file; `chapters` are titles, without the range of codes."""

    file: str
    chapters: list[str] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)


def tabular(source: Path, conversion: ConversionReport) -> Tabular:
    """The entries of a tabular list, placeholders included, in their order.

    An entry without a code or a title, or whose code came before, is malformed. Raises BadInput for a folder without
    the list, and for a file that is none.
    """
    path = list_in(source)
    handler = _Handler(path)
    if b"<!DOCTYPE" in path.read_bytes().replace(b"\0", b""):  # the list has none, and entities can fill the memory
        conversion.malformed(path, 1, "declares a document type")
        return handler.found
    try:
        xml.sax.parse(str(path), handler)
    except xml.sax.SAXParseException as error:
        conversion.malformed(path, error.getLineNumber() or 1, "is not well-formed XML")
    except (ValueError, LookupError):  # an encoding that is unknown, or not the file's
        conversion.malformed(path, 1, "is not in the encoding that it names")
    if not handler.found.chapters:
        raise BadInput(f"There is no chapter in {path}: give the tabular list of ICD-10-CM in XML.")
    times = Counter(entry.code for entry in handler.found.entries)
    kept = []
    for entry in handler.found.entries:
        if not entry.code or not entry.title or times[entry.code] > 1:
            conversion.malformed(path, entry.line, "starts an entry without a title, or without a code of its own")
        else:
            kept.append(entry)
    handler.found.entries = kept
    return handler.found


def list_in(source: Path) -> Path:
    """The list itself, or the newest by name in a folder. Raises BadInput if there is none."""
    if source.is_file():
        return source
    if found := sorted(source.glob("icd10c*tabular*.xml")):
        return found[-1]
    raise BadInput(f"There is no icd10cm-tabular*.xml in {source}: give the tabular list, or the folder that holds it.")


class _Handler(ContentHandler):
    """Collects entries while the file is parsed; the elements of the notes that are not wanted are passed over."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.found = Tabular(path.name)
        self._open: list[Entry] = []
        self._elements: list[str] = []
        self._text: list[str] = []
        self._locator: Locator | None = None

    def setDocumentLocator(self, locator: Locator) -> None:
        self._locator = locator

    def startElement(self, name: str, attrs: AttributesImpl) -> None:
        if name == "diag":
            above = [entry for entry in self._open if not entry.placeholder]
            entry = Entry(self._line, len(self.found.chapters), above[-1].code if above else "")
            entry.placeholder = attrs.get("placeholder") == "true"
            self._open.append(entry)
            self.found.entries.append(entry)
        self._elements.append(name)
        self._text = []

    def characters(self, content: str) -> None:
        self._text.append(content)

    def endElement(self, name: str) -> None:
        text, self._text = " ".join("".join(self._text).split()), []
        self._elements.pop()
        within = self._elements[-2:]
        if name == "desc" and within[-1:] == ["chapter"]:
            self.found.chapters.append(text.rpartition(" (")[0] or text)
        elif name == "diag":
            self._open.pop()
        elif name == "name" and within[-1:] == ["diag"]:
            self._open[-1].code = text
        elif name == "desc" and within[-1:] == ["diag"]:
            self._open[-1].title = text
        elif name == "note" and within == ["diag", "inclusionTerm"] and text:
            self._open[-1].notes.append(Note(text, self._line))

    @property
    def _line(self) -> int:
        return (self._locator.getLineNumber() if self._locator else 0) or 1
