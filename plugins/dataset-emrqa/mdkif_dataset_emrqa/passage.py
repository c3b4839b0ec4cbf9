"""A text as lines, in which answers are found whatever their case and spacing."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate

from mdkif import BadInput

Span = tuple[int, int]


class Passage:
    """A text of lines whose spaces are collapsed; `text` is what spans point into.

    >>> passage = Passage(["Seen for chest", " Pain  today. "])
    >>> passage.find("chest pain")
    (9, 19)
    """

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = [collapsed(line) for line in lines]
        self._starts = [0, *accumulate(len(line) + 1 for line in self._lines)]
        self.text = "\n".join(self._lines)
        self._folded = folded(self.text)

    def find(self, answer: str, begin: int = 0) -> Span | None:
        """Where the answer first stands as whole words, at or after a character."""
        return next(self.find_all(answer, begin), None)

    def find_all(self, answer: str, begin: int = 0) -> Iterator[Span]:
        """Everywhere the answer stands as whole words."""
        wanted = folded(collapsed(answer))
        while wanted and (begin := self._folded.find(wanted, begin)) >= 0:
            end = begin + len(wanted)
            if not (_within_a_word(self._folded, begin) or _within_a_word(self._folded, end)):
                yield begin, end
            begin += 1

    def place(self, line: object, token: object = 0) -> int:
        """The character at which a token (from 0) of a line (from 1) begins; of neither, the nearest before."""
        if not isinstance(line, int) or not 1 <= line <= len(self._lines):
            return 0
        words = self._lines[line - 1].split()[: token if isinstance(token, int) else 0]
        return self._starts[line - 1] + sum(len(word) + 1 for word in words)

    def window(self, span: Span, around: int | None) -> Span:
        """The characters of the span's lines and of `around` lines before and after; None takes all."""
        if around is None:
            return 0, len(self.text)
        first, last = (bisect_right(self._starts, place) - 1 for place in span)
        begin, end = max(0, first - around), min(len(self._lines), last + around + 1)
        return self._starts[begin], self._starts[end] - 1


def collapsed(text: str) -> str:
    """The text with one space for every run of white space."""
    return " ".join(text.split())


def folded(text: str) -> str:
    """The text in lower case and on one line, every character in its place."""
    lower = text.lower()  # a few letters become two in lower case: then only those of ASCII are folded
    return (lower if len(lower) == len(text) else re.sub("[A-Z]+", lambda found: found[0].lower(), text)).replace(
        "\n", " "
    )


def window_size(value: object) -> int | None:
    """The option `window`: a whole number, or None for "all". Raises BadInput for anything else."""
    if str(value) == "all":
        return None
    if not re.fullmatch(r"\d{1,9}", str(value)):
        raise BadInput(f"The option 'window' is {value!r}: give a whole number from 0 up, or all.")
    return int(str(value))


def _within_a_word(text: str, place: int) -> bool:
    return 0 < place < len(text) and text[place - 1].isalnum() and text[place].isalnum()
