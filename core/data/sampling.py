"""What is drawn: seeded samples of a stream of records, and wrong options that stand fairly beside a right one."""

from __future__ import annotations

import hashlib
import random
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import product

from .records import Record

CONSIDERED = 256  # candidates of fitting length that are looked at for one question
UNEVEN = 0.01  # of the questions: what two places of the gold may differ by
Place = tuple[int, int]  # how many distractors are longer than the gold, and how many nearer to what is asked
Sides = dict[tuple[bool, bool], list[str]]


class Sample:
    """A seeded uniform sample of a stream, `size` of its records or, for 0, all; memory is bounded by the size."""

    def __init__(self, size: int, seed: str) -> None:
        self.seen = 0
        self._size, self._draw = size, random.Random(seed)
        self._kept: list[Record] = []

    def add(self, record: Record) -> None:
        """Take in the next record."""
        self.seen += 1
        if not self._size or len(self._kept) < self._size:
            self._kept.append(record)
        elif (place := self._draw.randrange(self.seen)) < self._size:
            self._kept[place] = record

    def drawn(self) -> list[Record]:
        """The sample, in an order of chance."""
        self._draw.shuffle(self._kept)
        return self._kept


class Stratified:
    """A seeded sample of a stream in which every label has its share, `size` of its records or, for 0, all.

    Labels are told apart where all records list the same options; other records are one stratum, so the sample is
    uniform. Shares are those of the labels in the stream; what remains goes to the largest remainders.
    """

    def __init__(self, size: int, seed: str) -> None:
        self._size, self._seed = size, seed
        self._options: tuple[str, ...] | None = None
        self._strata: dict[tuple[str, ...], Sample] = {}

    def add(self, record: Record) -> None:
        """Take in the next record."""
        self._options = record.options if self._options is None else self._options
        label = record.labels if record.options == self._options else ()
        self._strata.setdefault(label, Sample(self._size, f"{self._seed}:{label}")).add(record)

    def drawn(self) -> list[Record]:
        """The sample, in an order of chance."""
        strata = self._strata
        total = sum(each.seen for each in strata.values())
        wanted = min(self._size or total, total)
        counts = {label: wanted * each.seen // total for label, each in strata.items()}
        largest = sorted(strata, key=lambda label: (-(wanted * strata[label].seen % total), label))
        for label in largest[: wanted - sum(counts.values())]:
            counts[label] += 1
        found = [record for label in sorted(strata) for record in strata[label].drawn()[: counts[label]]]
        random.Random(self._seed).shuffle(found)
        return found


def sample(
    records: Iterable[Record], sizes: Mapping[str, int], seed: int, *, stratified: bool = False
) -> dict[str, list[Record]]:
    """Seeded samples of several splits in one pass, uniform or `stratified`; memory is bounded by the sizes.

    `sizes` maps each wanted split to how many of its records are drawn, 0 for all.
    """
    kind = Stratified if stratified else Sample
    samples = {split: kind(size, f"{split}:{seed}") for split, size in sizes.items()}
    for record in records:
        if record.split in samples:
            samples[record.split].add(record)
    return {split: kept.drawn() for split, kept in samples.items()}


def label_counts(records: Sequence[Record]) -> dict[str, int]:
    """How often each label is right, in the order of the options, if all records list the same; else nothing."""
    if not records or any(record.options != records[0].options for record in records):
        return {}
    counts = Counter(label for record in records for label in record.labels)
    return {option: counts[option] for option in records[0].options}


@dataclass(frozen=True, kw_only=True)
class Matchable:
    """A question that is to be made a choice: the texts that may stand beside `gold`, those preferred first.

    `asked` is what a reader compares options with: question and context. `key` decides what is left to chance.
    """

    key: str
    asked: str
    gold: str
    candidates: Sequence[str]


def matched_choices(
    questions: Sequence[Matchable], distractors: int = 3, length: float = 0.25
) -> dict[str, tuple[str, ...]]:
    """Options for each question that can be asked fairly, by its key: neither length nor wording gives the gold away.

    Distractors differ from the gold in length by that share at most. Sorted by length, or by the letter triples that
    options share with what is asked (Jaccard), the gold stands in each place equally often: distractors are taken
    from both sides of it, and questions are dropped where there are too few. So call it for each split by itself.
    Nothing but keys and texts decides: the same questions get the same options in the same order. It is quickest where
    questions that share candidates follow each other.
    """
    sided = {each.key: _sides(each, length) for each in questions}
    possible = {each.key: _places(sided[each.key], distractors) for each in questions}
    ordered = sorted(
        (each for each in questions if possible[each.key]),
        key=lambda each: (len(possible[each.key]), _chance(each.key)),
    )
    counts, chosen = Counter[Place](), dict[str, Place]()
    for each in ordered:  # those of few possible places first
        chosen[each.key] = min(possible[each.key], key=partial(_preference, counts, each.key))
        counts.update(enumerate(chosen[each.key]))
    kept = _evened(chosen, distractors + 1)
    found = {}
    for each in questions:
        if each.key in kept:
            wrong = _taken(sided[each.key], kept[each.key], distractors)
            found[each.key] = tuple(sorted((each.gold, *wrong), key=lambda text: _chance(f"{each.key} {text}")))
    return found


def letter_triples(text: str) -> frozenset[str]:
    """All runs of three characters of a text, whatever its case, punctuation and spaces.

    >>> sorted(letter_triples("Gout?"))
    ['gou', 'out']
    """
    plain = " ".join(re.findall(r"\w+", text.casefold()))
    return frozenset(plain[i : i + 3] for i in range(max(1, len(plain) - 2)) if plain)


def _sides(question: Matchable, length: float) -> Sides:
    """The candidates of fitting length, by whether each is longer than the gold and nearer to what is asked."""
    asked, own, size = letter_triples(question.asked), _triples(question.gold), len(question.gold)
    found: Sides = {side: [] for side in product((True, False), (True, False))}
    seen, nearness = {question.gold.casefold()}, _jaccard(own, asked)
    for text in question.candidates:
        if text.casefold() in seen or abs(len(text) - size) > length * size:
            continue
        seen.add(text.casefold())
        ways = len(text) - size, _jaccard(_triples(text), asked) - nearness
        if not all(ways):  # as long as the gold, or as near: chance says on which side
            toss = 1 if _chance(f"{question.key} {text}") % 2 else -1
            ways = ways[0] or toss, ways[1] or toss
        found[ways[0] > 0, ways[1] > 0].append(text)
        if len(seen) > CONSIDERED:
            break
    return found


def _places(sides: Sides, distractors: int) -> list[Place]:
    """How many distractors can be longer than the gold, and how many nearer, together."""
    places = product(range(distractors + 1), range(distractors + 1))
    return [place for place in places if _numbers(sides, place, distractors) is not None]


def _numbers(sides: Sides, place: Place, distractors: int) -> dict[tuple[bool, bool], int] | None:
    """How many distractors each side gives for a place, or None where that cannot be."""
    longer, nearer = place
    for both in range(min(place) + 1):
        numbers = {
            (True, True): both,
            (True, False): longer - both,
            (False, True): nearer - both,
            (False, False): distractors - longer - nearer + both,
        }
        if all(0 <= number <= len(sides[side]) for side, number in numbers.items()):
            return numbers
    return None


def _taken(sides: Sides, place: Place, distractors: int) -> list[str]:
    numbers = _numbers(sides, place, distractors) or {}
    return [text for side, number in numbers.items() for text in sides[side][:number]]


def _evened(chosen: Mapping[str, Place], places: int) -> dict[str, Place]:
    """As many of the questions as leave every place, by length and by nearness, about equally often."""
    buckets: dict[Place, list[str]] = {}
    for key, place in chosen.items():
        buckets.setdefault(place, []).append(key)
    counts = Counter(pair for place in chosen.values() for pair in enumerate(place))
    left = len(chosen)
    while any(max(row) - min(row) > max(1, UNEVEN * left) for row in _rows(counts, places)):
        crowded = max((place for place in buckets if buckets[place]), key=lambda place: (_crowd(counts, place), place))
        buckets[crowded].pop()
        counts.subtract(enumerate(crowded))
        left -= 1
    return {key: place for place, keys in buckets.items() for key in keys}


def _rows(counts: Counter[Place], places: int) -> list[list[int]]:
    """How often the gold stands in each place, by length and by nearness."""
    return [[counts[axis, place] for place in range(places)] for axis in (0, 1)]


def _preference(counts: Counter[Place], key: str, place: Place) -> tuple[int, int]:
    """The least crowded place first, and of equals one by chance."""
    return _crowd(counts, place), _chance(f"{key} {place}")


def _crowd(counts: Counter[Place], place: Place) -> int:
    return sum(counts[pair] for pair in enumerate(place))


def _jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    both = len(one & other)
    return both / max(1, len(one) + len(other) - both)


_triples = lru_cache(maxsize=4096)(letter_triples)


def _chance(text: str) -> int:
    """A number that depends on the text alone."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())
