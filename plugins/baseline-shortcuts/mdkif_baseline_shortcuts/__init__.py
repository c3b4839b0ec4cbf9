"""Baselines that answer without understanding, and show what a task gives away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import log

from mdkif import Baseline, BaselineMethod, Given, Prediction, Record, explained, hookimpl, letter_triples

from .features import Characters, Feature, Overlap
from .fitting import several_right, told_by
from .texts import first_sentence, words


@hookimpl
def mdkif_baselines() -> list[Baseline]:
    """Six shortcuts."""
    listed = {
        "length": "Shortest or longest: an option's length, or the text's",
        "position": "The place of an option in the list",
        "overlap-words": "Words that option and question share, or two texts",
        "overlap-letters": "Letter triples that option and question share, or two texts",
    }
    targets = {name: f"{__name__}:{''.join(part.capitalize() for part in name.split('-'))}" for name in listed}
    return [
        Baseline(name="majority", title="What is right most often", target=f"{__name__}:Majority", shortcut=True),
        *(
            Baseline(name=name, title=title, target=targets[name], takes="options", shortcut=True)
            for name, title in listed.items()
        ),
        Baseline(
            name="first-sentence",
            title="The first sentence of the context",
            target=f"{__name__}:FirstSentence",
            takes="text",
            shortcut=True,
        ),
    ]


@dataclass(kw_only=True)
class Majority(BaselineMethod):
    """What is right most often in the examples, whatever is asked: the prior of each label, or the commonest answer.

    Options that no example lists are equally likely.
    """

    smoothing: float = explained(1.0, "what is added to every label's count")

    def answers(self, given: Given) -> list[Prediction]:
        """Scores are log-probabilities of the labels or, where several may be right, log-odds of each."""
        if not all(record.options for record in given.records):
            common = Counter(example.answer for example in given.examples).most_common(1)
            return [given.prediction(record, text=common[0][0] if common else "") for record in given.records]
        right = Counter(label for example in given.examples for label in example.labels)
        return [given.prediction(each, scores=self._scores(given, each, right)) for each in given.records]

    def _scores(self, given: Given, record: Record, right: Counter[str]) -> tuple[float, ...]:
        counts = [right[option] + self.smoothing for option in record.options]
        if several_right(given):
            total = len(given.examples) + 2 * self.smoothing
            return tuple(log(count / (total - count)) if 0 < count < total else 0.0 for count in counts)
        return tuple(log(count / sum(counts)) if count else log(1e-9) for count in counts)


@dataclass(kw_only=True)
class Position(BaselineMethod):
    """The place of an option in the list: how often each place was right in the examples."""

    smoothing: float = explained(1.0, "what is added to every place's count")

    def answers(self, given: Given) -> list[Prediction]:
        """Scores are log-probabilities of the places."""
        right = Counter(place for each in given.examples for place in _places(each))
        return [given.prediction(record, scores=self._scores(record, right)) for record in given.records]

    def _scores(self, record: Record, right: Counter[int]) -> tuple[float, ...]:
        counts = [right[place] + self.smoothing for place in range(len(record.options))]
        return tuple(log(count / sum(counts)) if count else log(1e-9) for count in counts)


def _places(record: Record) -> Sequence[int]:
    return [place for place, option in enumerate(record.options) if option in record.labels]


@dataclass(kw_only=True)
class _Told(BaselineMethod):
    """Answers by one number, whose meaning the examples tell."""

    def answers(self, given: Given) -> list[Prediction]:
        """Scores are log-probabilities, or log-odds where several may be right."""
        scores = told_by(self._feature(), given)
        return [given.prediction(record, scores=each) for record, each in zip(given.records, scores, strict=True)]

    def _feature(self) -> Feature:
        raise NotImplementedError


@dataclass(kw_only=True)
class Length(_Told):
    """The shortest option or the longest, as the examples say, in characters.

    Where all records list the same options it is the length of question and context that tells between them.
    """

    def _feature(self) -> Feature:
        return Characters()


@dataclass(kw_only=True)
class OverlapWords(_Told):
    """The words that an option shares with question and context, as a share of all (Jaccard).

    Where all records list the same options, those that two lines of the context share or else question and context.
    """

    def _feature(self) -> Feature:
        return Overlap(words)


@dataclass(kw_only=True)
class OverlapLetters(_Told):
    """As `overlap-words`, of the letter triples in place of the words: inflections and parts of words count too."""

    def _feature(self) -> Feature:
        return Overlap(letter_triples)


@dataclass(kw_only=True)
class FirstSentence(BaselineMethod):
    """The first sentence of the context or, where there is none, of the question."""

    def answers(self, given: Given) -> list[Prediction]:
        """Nothing is learnt."""
        return [given.prediction(each, text=first_sentence(each.context or each.query)) for each in given.records]
