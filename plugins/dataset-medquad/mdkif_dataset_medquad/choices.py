"""Multiple-choice questions out of free-text answers, which neither paper describes how to make."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from hashlib import sha256
from textwrap import shorten

from mdkif import ConversionReport, MatchedChoices, Record, format_choices, hashed_split

from .pair import Pair

DISTRACTORS = 3
LONGEST_CHOICE = 160
SENTENCE = re.compile(r".{20,}?[.!?](?=\s+[A-Z])")
"""A first sentence; the twenty characters keep an initial or a list number from passing for one."""


def with_choices(pairs: Sequence[Pair], conversion: ConversionReport) -> Iterator[Record]:
    """Each pair as a choice between its answer's first sentence and three of other foci.

    Distractors answer the same type of question. They and the order of the choices depend on hashes of the
    ids alone, so the same files always give the same records. Pairs of a type with too few foci are left out.
    """
    pools: dict[str, list[tuple[Pair, str]]] = defaultdict(list)
    for pair in sorted(pairs, key=lambda pair: hashed(pair.id)):
        pools[pair.qtype].append((pair, first_sentence(pair.answer)))
    for pair in pairs:
        gold = first_sentence(pair.answer)
        choices = [gold, *_distractors(pair, gold, pools[pair.qtype])]
        if len(choices) <= DISTRACTORS:
            conversion.leave_out("too few distractors")
            continue
        choices.sort(key=lambda choice: hashed(f"{pair.id} {choice}"))
        yield Record(id=pair.id, group=pair.group, source=pair.source, **format_choices(pair.question, choices, [gold]))


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


def _distractors(pair: Pair, gold: str, pool: Sequence[tuple[Pair, str]]) -> list[str]:
    """The next three usable sentences of the hash-ordered pool, from a place the pair's id decides."""
    chosen: list[str] = []
    taken, foci, start = {gold.casefold()}, {pair.focus.casefold()}, hashed(pair.id) % len(pool)
    for step in range(len(pool)):
        other, sentence = pool[(start + step) % len(pool)]
        if other.focus.casefold() in foci or other.asked == pair.asked or sentence.casefold() in taken:
            continue
        chosen.append(sentence)
        taken.add(sentence.casefold())
        foci.add(other.focus.casefold())
        if len(chosen) == DISTRACTORS:
            break
    return chosen


def hashed(text: str) -> int:
    """A number that depends on the text alone, to choose by."""
    return int.from_bytes(sha256(text.encode()).digest()[:8])
