"""Options drawn from a pool that do not give the answer away, whichever answer it is."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from itertools import chain, islice
from random import Random


class MatchedChoices:
    """Options to choose from, among which neither length nor shared letters tell the right one.

    `mdkif.matched_choices` evens out over all questions together where the answer stands, this for each by itself: so
    nothing of one question, such as how near its nearest option is, tells anything either. It takes a large pool.

    `pool` are texts that may stand beside an answer, each as likely as it is often there. Those drawn are of its
    length, within a quarter. How many are longer is a matter of chance, and so is how many share more letter triples
    with a clue than the answer does: those do so in number and as a part of their own triples, hence by Jaccard index
    too, and the others share less in both. Where the answer shares none, none of them does.

    An answer that could not have every rank gets no choices: what is near to its clue would else be known by never
    being the farthest.
    """

    LENGTHS = 0.25
    LOOKED_AT = 40

    def __init__(self, pool: Iterable[str]) -> None:
        import numpy as np

        self._texts = sorted(pool, key=lambda text: (len(text), text))
        self._lengths = [len(text) for text in self._texts]
        self._numbers: dict[str, int] = {}
        triples = [[self._numbers.setdefault(each, len(self._numbers)) for each in sorted(word_triples(text))]
                   for text in self._texts]  # fmt: skip
        self._sizes = np.array(list(map(len, triples)), dtype=np.int64)
        self._starts = np.concatenate([[0], np.cumsum(self._sizes)])
        self._triples = np.array(list(chain.from_iterable(triples)), dtype=np.int64)

    def choices(
        self, gold: str, clue: str, seed: str, wrong: Callable[[str], bool] | None = None, count: int = 3
    ) -> tuple[str, ...] | None:
        """The answer among `count` others, in an order of chance; None if there are no such others.

        `seed` decides all that is left to chance. `wrong` says of a text whether it is certainly no answer here, by
        default of every text but the answer.
        """
        draw, room = Random(f"{seed}\x1f{gold}"), int(self.LENGTHS * len(gold))
        first, last = (bisect_left(self._lengths, len(gold) - room), bisect_right(self._lengths, len(gold) + room))
        shorter, longer = bisect_left(self._lengths, len(gold)), bisect_right(self._lengths, len(gold))
        found = []
        for begin, end in ((first, shorter), (longer, last)):
            cells = []
            for places in self._sides(gold, clue, begin, end):
                order = draw.sample(places, min(self.LOOKED_AT, len(places)))
                texts = dict.fromkeys(self._texts[place] for place in order)
                cells.append(list(islice(filter(wrong, texts) if wrong else texts, count)))
            found.append(cells)
        if any(len(cell) < count for cells in found for cell in cells):
            return None
        ranks, lengths = _drawn_half(draw, count), _drawn_half(draw, count)
        options = [gold, *(found[length][min(rank, len(found[length]) - 1)].pop()
                           for rank, length in zip(ranks, lengths, strict=True))]  # fmt: skip
        draw.shuffle(options)
        return tuple(options)

    def _sides(self, gold: str, clue: str, begin: int, end: int) -> list[list[int]]:
        """Which of some texts share less with the clue than the answer does, and which more; or which share none."""
        import numpy as np

        asked, own = word_triples(clue), word_triples(gold)
        shared = len(asked & own)
        known = np.zeros(len(self._numbers), dtype=np.int64)
        known[[self._numbers[each] for each in asked if each in self._numbers]] = 1
        sums = np.concatenate([[0], np.cumsum(known[self._triples[self._starts[begin] : self._starts[end]]])])
        bounds = self._starts[begin : end + 1] - self._starts[begin]
        theirs, sizes = np.diff(sums[bounds]), self._sizes[begin:end]
        ahead = theirs * len(own) - shared * sizes
        sides = [(theirs < shared) & (ahead < 0), (theirs > shared) & (ahead > 0)] if shared else [theirs == 0]
        return [(np.flatnonzero(side) + begin).tolist() for side in sides]


def _drawn_half(draw: Random, count: int) -> list[int]:
    """Zeros and ones in an order of chance, as many ones as chance says, each number as likely."""
    ones = draw.randrange(count + 1)
    marks = [1] * ones + [0] * (count - ones)
    draw.shuffle(marks)
    return marks


def word_triples(text: str) -> frozenset[str]:
    """Every three letters or digits in a row within a word of a text, in lower case."""
    words = re.findall(r"[^\W_]{3,}", text.casefold())
    return frozenset(word[i : i + 3] for word in words for i in range(len(word) - 2))
