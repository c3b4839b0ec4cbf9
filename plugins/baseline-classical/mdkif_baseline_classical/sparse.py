"""TF-IDF: a logistic regression over it, and the nearest example by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from mdkif import BaselineMethod, Given, Prediction, Record, explained

from .problem import Problem, asked, words

UNSEEN = -30.0  # log-odds of a label that no example has
CHUNK = 512


@dataclass(kw_only=True)
class TfIdf(BaselineMethod):
    """Logistic regression (scikit-learn, L2) over TF-IDF of words and pairs of words of question and context.

    Where every record has options of its own, each option is a case by itself: its words, and those that it shares
    with the question, are the features, and its log-odds the score. Where several labels may be right there is one
    regression for each.
    """

    c: float = explained(1.0, "the inverse strength of the L2 penalty, scikit-learn's C")
    ngrams: int = explained(2, "the longest run of words that is a feature")
    features: int = explained(50_000, "the most frequent features are taken")

    def answers(self, given: Given) -> list[Prediction]:
        """Scores are log-probabilities or, of labels and options by themselves, log-odds."""
        problem = Problem.of(given)
        if problem.shared and not problem.several:
            scores = self._classes(given, problem.shared)
        elif problem.shared:
            scores = self._labels(given, problem.shared)
        else:
            scores = self._options(given)
        return [given.prediction(record, scores=each) for record, each in zip(given.records, scores, strict=True)]

    def _classes(self, given: Given, options: Sequence[str]) -> list[tuple[float, ...]]:
        learnt, new = self._vectors(map(asked, given.examples), map(asked, given.records))
        gold = [options.index(each.labels[0]) for each in given.examples]
        if len(set(gold)) == 1:
            only = tuple(0.0 if place == gold[0] else UNSEEN for place in range(len(options)))
            return [only] * len(given.records)
        model = self._fitted(learnt, gold, given)
        rows = model.predict_log_proba(new)
        scores = [dict(zip(map(int, model.classes_), row.tolist(), strict=True)) for row in rows]
        return [tuple(max(UNSEEN, each.get(place, UNSEEN)) for place in range(len(options))) for each in scores]

    def _labels(self, given: Given, options: Sequence[str]) -> list[tuple[float, ...]]:
        learnt, new = self._vectors(map(asked, given.examples), map(asked, given.records))
        columns = []
        for option in options:
            gold = [option in each.labels for each in given.examples]
            if len(set(gold)) == 1:
                columns.append([-UNSEEN if gold[0] else UNSEEN] * len(given.records))
            else:
                columns.append(self._fitted(learnt, gold, given).decision_function(new).tolist())
        return list(zip(*columns, strict=True))

    def _options(self, given: Given) -> list[tuple[float, ...]]:
        pairs = [(each, option) for each in given.examples for option in each.options]
        new = [(each, option) for each in given.records for option in each.options]
        learnt, vectors = self._vectors(pairs, new, analyzer=partial(_shared_words, self.ngrams))
        model = self._fitted(learnt, [option in each.labels for each, option in pairs], given)
        odds = iter(model.decision_function(vectors).tolist())
        return [tuple(next(odds) for _ in each.options) for each in given.records]

    def _vectors(self, learnt: Any, new: Any, **how: Any) -> tuple[Any, Any]:
        from sklearn.feature_extraction.text import TfidfVectorizer

        how = how or {"tokenizer": words, "token_pattern": None, "lowercase": False, "ngram_range": (1, self.ngrams)}
        vectorizer = TfidfVectorizer(max_features=self.features or None, sublinear_tf=True, **how)
        return vectorizer.fit_transform(learnt), vectorizer.transform(new)

    def _fitted(self, vectors: Any, gold: Sequence[int | bool], given: Given) -> Any:
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(C=self.c, max_iter=1000).fit(vectors, gold)
        given.counts["trainable parameters"] = given.counts.get("trainable parameters", 0) + int(
            model.coef_.size + model.intercept_.size
        )
        return model


def _shared_words(longest: int, pair: tuple[Record, str]) -> list[str]:
    """The features of an option: its runs of words, and those of its words that the question has too."""
    record, option = pair
    own, others = words(option), set(words(asked(record)))
    runs = [" ".join(own[i : i + n]) for n in range(1, longest + 1) for i in range(len(own) - n + 1)]
    return [*runs, *(f"both: {word}" for word in own if word in others), *["both"] * sum(w in others for w in own)]


@dataclass(kw_only=True)
class Nearest(BaselineMethod):
    """The answer of the example whose question and context are most similar, by the cosine of TF-IDF vectors."""

    features: int = explained(50_000, "the most frequent words are taken")

    def answers(self, given: Given) -> list[Prediction]:
        """Nothing is trained; the first of equally similar examples is taken."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        vectorizer = TfidfVectorizer(
            tokenizer=words, token_pattern=None, lowercase=False, max_features=self.features or None, sublinear_tf=True
        )
        known = vectorizer.fit_transform(map(asked, given.examples))
        found: list[Prediction] = []
        for start in range(0, len(given.records), CHUNK):
            records = given.records[start : start + CHUNK]
            nearest = (vectorizer.transform(map(asked, records)) @ known.T).toarray().argmax(axis=1)
            found += [
                given.prediction(record, text=given.examples[place].answer)
                for record, place in zip(records, nearest, strict=True)
            ]
        return found
