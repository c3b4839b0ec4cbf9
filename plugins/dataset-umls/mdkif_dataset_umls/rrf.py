"""Rows of the Rich Release Format: what each file's fields are, and how they are read."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple, TypeVar

from mdkif import BadInput, ConversionReport, text_lines


class Atom(NamedTuple):
    """A row of MRCONSO.RRF: one name of a concept in one source vocabulary."""

    CUI: str
    LAT: str
    TS: str
    LUI: str
    STT: str
    SUI: str
    ISPREF: str
    AUI: str
    SAUI: str
    SCUI: str
    SDUI: str
    SAB: str
    TTY: str
    CODE: str
    STR: str
    SRL: str
    SUPPRESS: str
    CVF: str

    @property
    def wanted(self) -> bool:
        """Whether it is an English name that is not suppressed."""
        return self.LAT == "ENG" and self.SUPPRESS == "N"

    @property
    def preferred(self) -> bool:
        """Whether it is the preferred form of its concept's preferred term."""
        return (self.TS, self.STT, self.ISPREF) == ("P", "PF", "Y")


class Definition(NamedTuple):
    """A row of MRDEF.RRF."""

    CUI: str
    AUI: str
    ATUI: str
    SATUI: str
    SAB: str
    DEF: str
    SUPPRESS: str
    CVF: str


class Relation(NamedTuple):
    """A row of MRREL.RRF. It reads backwards: the SECOND concept has the relation to the FIRST."""

    CUI1: str
    AUI1: str
    STYPE1: str
    REL: str
    CUI2: str
    AUI2: str
    STYPE2: str
    RELA: str
    RUI: str
    SRUI: str
    SAB: str
    SL: str
    RG: str
    DIR: str
    SUPPRESS: str
    CVF: str


class Documentation(NamedTuple):
    """A row of MRDOC.RRF; those of type `rela_inverse` say which relation is another's inverse."""

    DOCKEY: str
    VALUE: str
    TYPE: str
    EXPL: str


Row = TypeVar("Row", Atom, Definition, Relation, Documentation)


def rows(path: Path, shape: Callable[..., Row], conversion: ConversionReport) -> Iterator[tuple[int, Row]]:
    """The rows of an RRF file with their line numbers: UTF-8, no header, no quoting, `|` after every field.

    Raises BadInput if the file is not there, or for a row with another number of fields.
    """
    if not path.is_file():
        raise BadInput(f"The file {path} is not there: let MetamorphoSys write {path.name} into the META folder.")
    width = len(inspect.signature(shape).parameters)
    with text_lines(path, conversion, "\n") as lines:
        for number, line in enumerate(lines, 1):
            fields = line.rstrip("\r\n").split("|")
            if len(fields) != width + 1 or fields[-1]:
                conversion.malformed(path, number, f"does not have {width} fields with a | after each")
                continue
            yield number, shape(*fields[:-1])


def by_concept(
    path: Path, shape: Callable[..., Row], conversion: ConversionReport
) -> Iterator[tuple[str, list[tuple[int, Row]]]]:
    """The rows of one concept after another; official files are sorted by CUI."""
    last = ""
    for cui, group in groupby(rows(path, shape, conversion), key=lambda item: item[1][0]):
        if cui < last:
            raise BadInput(f"The file {path} is not sorted by CUI as NLM ships it: sort it with LC_ALL=C sort.")
        last = cui
        yield cui, list(group)
