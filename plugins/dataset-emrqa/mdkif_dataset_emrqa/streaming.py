"""Reading a JSON file of any size value by value: no more than one value and one chunk are held in memory."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from mdkif import BadInput

Keys = tuple[str | int, ...]
"""Where a value lies: the keys and positions that lead to it from the root."""

CHUNK = 1 << 20
LOOKAHEAD = 16
"""So near the end of what was read a value may go on: no cut literal, escape or number is longer."""
DECODER = json.JSONDecoder()
SPACE = re.compile(r"[ \t\n\r]*")


def stream(path: Path, depth: int) -> Iterator[tuple[Keys, Any]]:
    """Every value `depth` keys below the root of a JSON file, and every scalar above, each with its keys.

    Bytes that are not UTF-8 are read as Latin-1, one by one, for the files of several encodings that
    clinical notes were gathered into. Raises BadInput, once it gets there, for what is not well-formed.
    """
    with path.open(encoding="utf-8-sig", errors="mdkif-latin-1") as file:
        text = _Text(path, file)
        yield from text.values((), depth)
        if text.peek():
            raise text.broken()


def _as_latin_1(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("latin-1"), error.end


codecs.register_error("mdkif-latin-1", _as_latin_1)


class _Text:
    """The part of a file that is being decoded."""

    def __init__(self, path: Path, file: TextIO) -> None:
        self._path, self._file = path, file
        self._buffer, self._at, self._passed = "", 0, 0

    def values(self, keys: Keys, depth: int) -> Iterator[tuple[Keys, Any]]:
        """The values `depth` keys below the one that comes next."""
        opening = self.peek()
        if depth == 0 or opening not in ("{", "["):
            yield keys, self._value()
            return
        closing = {"{": "}", "[": "]"}[opening]
        self._take(opening)
        position, going = 0, self.peek() != closing
        if not going:
            self._take(closing)
        while going:
            key = position if opening == "[" else self._name()
            yield from self.values((*keys, key), depth - 1)
            going = self._take("," + closing) == ","
            position += 1

    def peek(self) -> str:
        """The next character that is no space, or "" at the end."""
        while True:
            self._at = SPACE.match(self._buffer, self._at).end()  # type: ignore[union-attr]  # it matches nothing too
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            if not self._more():
                return ""

    def broken(self) -> BadInput:
        """The error for a file that is no JSON where reading it stands."""
        place = self._passed + self._at
        return BadInput(f"{self._path} is not well-formed JSON from its character {place} on: take the file anew.")

    def _take(self, allowed: str) -> str:
        char = self.peek()
        if not char or char not in allowed:
            raise self.broken()
        self._at += 1
        return char

    def _name(self) -> str:
        if self.peek() != '"':
            raise self.broken()
        name = str(self._value())
        self._take(":")
        return name

    def _value(self) -> Any:
        self.peek()
        while True:
            try:
                found, end = DECODER.raw_decode(self._buffer, self._at)
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated") or error.pos + LOOKAHEAD > len(self._buffer)
                if not (cut and self._more()):
                    raise self.broken() from None
            except (ValueError, RecursionError):  # a number of thousands of digits, brackets within brackets
                raise self.broken() from None
            else:
                if end + LOOKAHEAD <= len(self._buffer) or not self._more():
                    self._at = end
                    return found

    def _more(self) -> bool:
        """Read on, as much again as is waiting, so that a long value is not decoded from its start too often."""
        rest = self._buffer[self._at :]
        chunk = self._file.read(max(CHUNK, len(rest)))
        if chunk:
            self._passed += self._at
            self._buffer, self._at = rest + chunk, 0
        return bool(chunk)
