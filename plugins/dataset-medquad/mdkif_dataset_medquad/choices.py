"""Multiple-choice questions out of free-text answers, which neither paper describes how to make."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from hashlib import sha256
from textwrap import shorten
from typing import NamedTuple

from mdkif import ConversionReport, Matchable, MatchedChoices, Record, format_choices, hashed_split, matched_choices

from .pair import Pair

PART = 128
LONGEST_CHOICE = 160
SENTENCE = re.compile(r".{20,}?[.!?](?=\s+[A-Z])")
"""A first sentence; the twenty characters keep an initial or a list number from passing for one."""


def with_choices(pairs: Sequence[Pair], conversion: ConversionReport) -> Iterator[Record]:
    """Each pair as a choice between its answer's first sentence and three that answer something else.

    Distractors are of the same split, which the focus decides: first of the same focus, then of one whose name ends in
    the same word, then of the same type of question. They are as long as the answer, within a quarter, and over all
    pairs of a split as often nearer to the question by its letters as farther (see `mdkif.matched_choices`); pairs for
    which there are none are left out. Everything depends on ids and texts alone, so the same files always give the
    same records.
    """
    pools: dict[str, list[Pair]] = defaultdict(list)
    for pair in sorted(pairs, key=lambda pair: hashed(pair.id)):
        pools[hashed_split(pair.group)].append(pair)
    found: dict[str, tuple[str, ...]] = {}
    for pool in pools.values():
        found |= matched_choices([question for part in _parts(pool) for question in _questions(part)])
    for pair in pairs:
        if pair.id not in found:
            conversion.leave_out("no distractors that match")
            continue
        choices = format_choices(pair.question, found[pair.id], [first_sentence(pair.answer)])
        yield Record(id=pair.id, group=pair.group, split=hashed_split(pair.group), source=pair.source, **choices)


def _parts(pool: Sequence[Pair]) -> Iterator[list[Pair]]:
    """The pairs of a split in parts of whole foci, each large enough to find distractors in."""
    parts: dict[int, list[Pair]] = defaultdict(list)
    for pair in pool:
        parts[hashed(f"part {pair.group}") % max(1, len(pool) // PART)].append(pair)
    yield from parts.values()


class Answered(NamedTuple):
    """What is compared of a pair: the last word of its focus is what kind of thing it is about."""

    pair: Pair
    sentence: str
    focus: str
    asked: str
    thing: str


def _questions(part: Sequence[Pair]) -> Iterator[Matchable]:
    known = [
        Answered(pair, first_sentence(pair.answer), pair.group, pair.asked, pair.group.rpartition(" ")[2])
        for pair in part
    ]
    for own in known:
        candidates = [other.sentence for other in _others(own, known)]
        yield Matchable(key=own.pair.id, asked=own.pair.question, gold=own.sentence, candidates=candidates)


def _others(own: Answered, known: Sequence[Answered]) -> list[Answered]:
    """Pairs whose answers are none to this question, the nearest in kind first."""

    def distance(other: Answered) -> int:
        return 0 if other.focus == own.focus else 1 + (other.thing != own.thing) + (other.pair.qtype != own.pair.qtype)

    usable = (
        other
        for other in known
        if other.asked != own.asked and (other.focus, other.pair.qtype) != (own.focus, own.pair.qtype)
    )
    return sorted(usable, key=distance)


def with_matched(pairs: Sequence[Pair], conversion: ConversionReport) -> Iterator[Record]:
    """Each pair as a choice between its answer's first sentence and three that look alike.

    Its focus is "it" in a sentence, so that no sentence names what is asked about. The others answer the same type of
    question about other foci, all for training or all held out, and neither length nor the letters shared with the
    question tell which is right (see `mdkif.MatchedChoices`). A sentence that answers for two foci is left out.
    """
    sentences = {pair.id: without_focus(first_sentence(pair.answer), pair) for pair in pairs}
    foci: dict[str, set[str]] = defaultdict(set)
    for pair in pairs:
        foci[sentences[pair.id].casefold()].add(pair.group)
    own = [pair for pair in pairs if len(foci[sentences[pair.id].casefold()]) == 1]
    conversion.leave_out("sentence that answers for two foci", len(pairs) - len(own))
    pools: dict[tuple[str, bool], dict[str, str]] = defaultdict(dict)
    for pair in own:
        pools[pair.qtype, held_out(pair)][sentences[pair.id]] = pair.group
    matched = {key: MatchedChoices(pool) for key, pool in pools.items()}
    for pair in own:
        key, gold = (pair.qtype, held_out(pair)), sentences[pair.id]
        foreign = partial(_is_of_another, pools[key], pair.group)
        options = matched[key].choices(gold, pair.question, pair.id, foreign)
        if options is None:
            conversion.leave_out("sentence without others that look like it")
            continue
        choices = format_choices(pair.question, options, [gold])
        split = "test" if held_out(pair) else "train"
        yield Record(id=pair.id, group=pair.group, split=split, source=pair.source, **choices)


def _is_of_another(groups: Mapping[str, str], group: str, sentence: str) -> bool:
    return groups[sentence] != group


def held_out(pair: Pair) -> bool:
    """Whether no skill learns from a pair's focus: what measures a skill's loss is here for tests, too."""
    return hashed_split(pair.group) != "train"


def without_focus(sentence: str, pair: Pair) -> str:
    """A sentence with "it" in the place of the pair's focus and its synonyms."""
    for name in sorted({pair.focus, *pair.synonyms}, key=len, reverse=True):
        if name:
            sentence = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "it", sentence, flags=re.IGNORECASE)
    return sentence


def first_sentence(answer: str) -> str:
    """The first sentence of an answer, cut at a word boundary where it is long.

    >>> first_sentence("Asthma is a disease of the airways. It narrows them.")
    'Asthma is a disease of the airways.'
    """
    sentence = SENTENCE.match(answer)
    return shorten(sentence[0] if sentence else answer, LONGEST_CHOICE, placeholder=" ...")


def hashed(text: str) -> int:
    """A number that depends on the text alone, to choose by."""
    return int.from_bytes(sha256(text.encode()).digest()[:8])
