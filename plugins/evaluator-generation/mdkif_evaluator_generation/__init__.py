"""Metrics over generated text: ROUGE, exact match and token F1, with the best of several right answers as in SQuAD."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

from mdkif import Evaluator, Prediction, hookimpl

METRICS = {"rouge1": True, "rougeL": True, "exact_match": True, "token_f1": True}
PUNCTUATION = str.maketrans("", "", string.punctuation)


@hookimpl
def mdkif_evaluators() -> list[Evaluator]:
    """The evaluator `generation`."""
    return [
        Evaluator(
            name="generation",
            title="Generation: ROUGE, exact match and token F1",
            target="mdkif_evaluator_generation:evaluate",
            metrics=METRICS,
            judges="text",
        )
    ]


def evaluate(predictions: Sequence[Prediction]) -> dict[str, float]:
    """Each metric's mean over the records, between the generated `text` and the right answer nearest to it, and `n`.

    ROUGE-1 and ROUGE-L are F-measures of stemmed words; without predictions only `n` is defined. Each metric
    takes its own nearest answer (see `right_answers`).
    """
    from statistics import fmean

    if not predictions:
        return {"n": 0}
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rouge1", "rougeL"], use_stemmer=True)
    rouge = [scorer.score_multi(right_answers(p), p.text) for p in predictions]
    return {
        "n": len(predictions),
        "rouge1": fmean(score["rouge1"].fmeasure for score in rouge),
        "rougeL": fmean(score["rougeL"].fmeasure for score in rouge),
        "exact_match": fmean(any(words(a) == words(p.text) for a in right_answers(p)) for p in predictions),
        "token_f1": fmean(max(token_f1(a, p.text) for a in right_answers(p)) for p in predictions),
    }


def right_answers(prediction: Prediction) -> tuple[str, ...]:
    """Every answer that counts as right: all gold ones, or the one answer that joins labels of a closed set.

    >>> right_answers(Prediction(id="r", gold=("MI", "heart attack"), answer="MI"))
    ('MI', 'heart attack')
    """
    return (prediction.answer,) if prediction.options or not prediction.gold else prediction.gold


def words(text: str) -> list[str]:
    """The words SQuAD compares: lower case, without punctuation and articles."""
    return re.sub(r"\b(a|an|the)\b", " ", text.lower().translate(PUNCTUATION)).split()


def token_f1(answer: str, text: str) -> float:
    """The F1 of shared words, counted with repetition; two texts without words agree.

    >>> token_f1("the left lung", "Left upper lung.")
    0.8
    """
    right, found = words(answer), words(text)
    if not right or not found:
        return float(right == found)
    shared = sum((Counter(right) & Counter(found)).values())
    return 2 * shared / (len(right) + len(found))
