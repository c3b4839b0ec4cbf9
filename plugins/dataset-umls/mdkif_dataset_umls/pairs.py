"""Records about medical concepts, worded and paired alike whatever terminology they come from."""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from heapq import heappush, heappushpop
from typing import NamedTuple

from mdkif import BadInput, ConversionReport, Record, format_choices

EXPLAIN = "Explain the following medical concept."
SAME = "Do the two medical terms mean the same?"
RELATE = "Determine the relation between the two medical concepts."

_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
_WORD = re.compile(r"\w{4,}")
_NOT_CHOSEN = "not in the sample"
_PER_WORD, _ANYWHERE = 16, 1024


class Synonym(NamedTuple):
    """A further term of a concept; `key` is unique among the concept's terms, `source` its file and line."""

    key: str
    term: str
    source: str


def draw(*parts: object) -> int:
    """A number that depends on its parts alone: chance that is the same on every machine."""
    return int.from_bytes(hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=8).digest())


def plain(text: str) -> str:
    """Text without HTML tags, entities, or runs of white space.

    >>> plain("A <b>benign</b>\\n tumour &amp; p < 0.05")
    'A benign tumour & p < 0.05'
    """
    return " ".join(html.unescape(_TAG.sub(" ", text)).split())


def fold(term: str) -> str:
    """What two spellings of one term have in common: letter case and white space do not count."""
    return " ".join(term.casefold().split())


def whole_number(option: str, value: object) -> int:
    """The value of an option that counts. Raises BadInput unless it is a whole number from 0 up."""
    if not re.fullmatch(r"\d+", str(value)):
        raise BadInput(f"The option '{option}' is {value!r}: give a whole number from 0 up.")
    return int(str(value))


def one_of(option: str, value: str, choices: Collection[str]) -> str:
    """The value of an option with named choices. Raises BadInput naming them."""
    if value not in choices:
        raise BadInput(f"The option '{option}' is {value!r}: choose from {', '.join(choices)}.")
    return value


class Sample:
    """At most `limit` records (0: all), chosen by a hash of `seed` and their ids and kept in their order.

    Ids that differ only after `#` are chosen together, so that pairs stay balanced. Holds `limit`
    records in memory. What is not chosen is counted as left out.
    """

    def __init__(self, limit: int, seed: int, conversion: ConversionReport) -> None:
        self.seed = seed
        self._limit = limit
        self._conversion = conversion
        self._held: list[tuple[int, int, Record]] = []

    def wants(self, identity: str, records: int = 1) -> bool:
        """Whether records with this id can still be chosen; if not, they need not be made."""
        if len(self._held) < self._limit or not self._limit or self._rank(identity) >= self._held[0][0]:
            return True
        self._conversion.leave_out(_NOT_CHOSEN, records)
        return False

    def of(self, records: Iterable[Record]) -> Iterator[Record]:
        """The sample, once all records have been seen; without a limit the records as they come."""
        if not self._limit:
            yield from records
            return
        for position, record in enumerate(records):
            entry = (self._rank(record.id), -position, record)
            if len(self._held) < self._limit:
                heappush(self._held, entry)
            else:
                heappushpop(self._held, entry)
                self._conversion.leave_out(_NOT_CHOSEN)
        yield from (record for *_, record in sorted(self._held, key=lambda entry: -entry[1]))

    def _rank(self, identity: str) -> int:
        return -draw(self.seed, identity.partition("#")[0])


class Vocabulary:
    """Terms to contrast with: for every word a few terms that contain it, whatever the order they came in."""

    def __init__(self) -> None:
        self._terms: dict[str, list[tuple[int, str, str]]] = {"": []}

    def add(self, term: str, concept: str) -> None:
        """Offer a term of a concept; of many terms with one word, those with the smallest hash are kept."""
        entry = (-draw(term, concept), term, concept)
        for word in ("", *_words(term)):
            held = self._terms.setdefault(word, [])
            room = _PER_WORD if word else _ANYWHERE
            if (len(held) == room and entry <= held[0]) or entry in held:
                continue
            if len(held) < room:
                heappush(held, entry)
            else:
                heappushpop(held, entry)

    def contrast(self, term: str, concept: str, own: Collection[str], key: int, near: bool = True) -> str | None:
        """A term of another concept, picked by `key`, if possible and `near` one that shares a word with `term`.

        `own` are the folded terms of `concept`: a string that two concepts share is no contrast.
        """
        words = _words(term) if near else ()
        sharing = [entry for word in words for entry in self._terms.get(word, ())]
        for pool in (sharing, self._terms[""]):
            for _, held, holder in sorted(pool, key=lambda entry: entry[0] ^ key):
                if holder != concept and fold(held) not in own:
                    return held
        return None


def explanation(dataset: str, concept: str, name: str, definition: str, source: str) -> Record:
    """The EA record of a concept: its name is the context, its definition the answer."""
    return Record(
        id=f"{dataset}/ea/{concept}", query=EXPLAIN, context=name, answer=definition, group=concept, source=source
    )


def synonym_pairs(
    dataset: str,
    concept: str,
    name: str,
    synonyms: Sequence[Synonym],
    also: Iterable[str],
    vocabulary: Vocabulary,
    sample: Sample,
    conversion: ConversionReport,
    near: bool = True,
) -> Iterator[Record]:
    """The ES records of a concept: per synonym one that means the same as `name` and one that does not.

    That other term is `near`, sharing a word, or any. `also` are terms too close to `name` to stand for
    "no", though they are not offered as "yes" either.
    """
    own = {fold(term) for term in (name, *also, *(synonym.term for synonym in synonyms))}
    told, keys = {fold(name)}, set[str]()
    for key, term, source in synonyms:
        if fold(term) in told or key in keys:
            conversion.leave_out("duplicate id" if key in keys else "synonym that repeats another term")
            continue
        told.add(fold(term))
        keys.add(key)
        identity = f"{dataset}/es/{concept}/{key}"
        if not sample.wants(identity, records=2):
            continue
        other = vocabulary.contrast(name, concept, own, draw(sample.seed, concept, key), near)
        if other is None:
            conversion.leave_out("synonym without a term of another concept to contrast with")
            continue
        for answer, second in (("yes", term), ("no", other)):
            yield Record(
                id=f"{identity}#{answer}",
                context=f"term 1: {name}\nterm 2: {second}",
                group=concept,
                source=source,
                **format_choices(SAME, ("yes", "no"), [answer]),
            )


def relation(
    identity: str, request: str, concepts: tuple[str, str], labels: Sequence[str], gold: str, group: str, source: str
) -> Record:
    """A record about two concepts, by name: the gold label says how the first relates to the second."""
    return Record(
        id=identity,
        context=f"concept 1: {concepts[0]}\nconcept 2: {concepts[1]}",
        group=group,
        source=source,
        **format_choices(request, labels, [gold]),
    )


def _words(term: str) -> list[str]:
    """The words of a term that say something, each once."""
    return list(dict.fromkeys(_WORD.findall(term.casefold())))
