"""Cloze queries out of free-text answers: an open stand-in for reading comprehension of clinical text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from mdkif import ConversionReport, Record

from .choices import hashed
from .pair import Pair

SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
LENGTHS = range(6, 61)
"""Words of a query's sentence: fewer are headings that say nothing, more are lists without full stops."""


def as_cloze(pairs: Iterable[Pair], conversion: ConversionReport) -> Iterator[Record]:
    """Each answer as a passage, one of whose sentences had the focus taken out, in the manner of CliCR.

    No such data set exists: these queries are made from open texts for the public, in which the answer is
    the subject of the whole passage, and are easier than CliCR's. The sentence is one of those that name the
    focus, chosen by a hash of the pair's id; the others are the context and must name it too. Labels are the
    focus and those of its synonyms that stand in the context.
    """
    for pair in pairs:
        named = _name(pair.focus)
        sentences = SENTENCE_END.split(pair.answer)
        naming = [number for number, sentence in enumerate(sentences) if named.search(sentence)]
        usable = [number for number in naming if len(sentences[number].split()) in LENGTHS]
        if len(naming) < 2 or not usable:
            conversion.leave_out("focus not in two sentences")
            continue
        sentence = sentences.pop(usable[hashed(pair.id) % len(usable)])
        context = " ".join(sentences)
        others = (name for name in pair.synonyms if name and _name(name).search(context))
        yield Record(
            id=pair.id,
            query=f"Fill in @placeholder: {named.sub('@placeholder', sentence)}",
            context=context,
            answer=pair.focus,
            labels=tuple(dict.fromkeys((pair.focus, *others))),
            spans=tuple(found.span() for found in named.finditer(context)),
            group=pair.group,
            source=pair.source,
        )


def _name(name: str) -> re.Pattern[str]:
    """A name as whole words, in any case."""
    return re.compile(rf"(?<!\w){re.escape(name)}(?!\w)", re.IGNORECASE)
