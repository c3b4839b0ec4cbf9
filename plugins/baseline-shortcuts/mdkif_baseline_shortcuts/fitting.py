"""What a number tells of what is right, learnt from examples."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, fsum, log
from statistics import fmean, pstdev

from mdkif import Given, Record

from .features import Feature

STEPS = 50
Scores = tuple[float, ...]


def told_by(feature: Feature, given: Given) -> list[Scores]:
    """Scores of every record's options by one number, its meaning learnt from the examples.

    Where options differ, p(option) is the softmax of b z, z being the option's number less the mean of the record's,
    over their standard deviation; b maximises the likelihood of the examples under a standard normal prior. Where all
    are the same, the record's number is normally distributed for each label, with a common variance (Fisher's linear
    discriminant); where several may be right, for the records that have the label and for those that have not.
    """
    if len({each.options for each in (*given.examples, *given.records)}) > 1:
        answered = [each for each in given.examples if each.labels]
        slope = _slope([(_shape(feature, each), _right(each)) for each in answered])
        return [_log_softmax([slope * z for z in _shape(feature, record)]) for record in given.records]
    learnt = [(feature.of_record(each), each.labels) for each in given.examples]
    asked = [feature.of_record(record) for record in given.records]
    options = given.records[0].options
    if several_right(given):
        columns = [_odds([(x, option in labels) for x, labels in learnt], asked) for option in options]
        return list(zip(*columns, strict=True))
    return _densities(learnt, options, asked)


def several_right(given: Given) -> bool:
    """Whether any number of the options may be right."""
    return given.answering.multi_label or any(len(each.labels) != 1 for each in given.examples)


def _right(record: Record) -> list[int]:
    return [place for place, option in enumerate(record.options) if option in record.labels]


def _shape(feature: Feature, record: Record) -> list[float]:
    """The options' numbers with mean 0 and variance 1, or all 0."""
    values = [feature.of_option(record, option) for option in record.options]
    mean, spread = fmean(values), pstdev(values)
    return [(value - mean) / spread if spread > 1e-12 else 0.0 for value in values]


def _slope(examples: Sequence[tuple[list[float], list[int]]]) -> float:
    """The b of `told_by`, by Newton's method on a concave function, in steps of 1 at most."""
    slope = 0.0
    for _ in range(STEPS):
        first, second = -slope, 1.0
        for values, right in examples:
            shares = [exp(score) for score in _log_softmax([slope * z for z in values])]
            mean = fsum(share * z for share, z in zip(shares, values, strict=True))
            first += fmean(values[place] for place in right) - mean
            second += fsum(share * (z - mean) ** 2 for share, z in zip(shares, values, strict=True))
        step = max(-1.0, min(1.0, first / second))
        slope += step
        if abs(step) < 1e-10:
            break
    return slope


def _densities(
    learnt: Sequence[tuple[float, tuple[str, ...]]], options: Sequence[str], asked: Sequence[float]
) -> list[Scores]:
    """Log-probabilities of each label by the number of each record asked."""
    groups = {option: [x for x, labels in learnt if option in labels] for option in options}
    mean = fmean([x for x, _ in learnt])
    means = {option: fmean(values) if values else mean for option, values in groups.items()}
    rest = [x - means[option] for option, values in groups.items() for x in values]
    variance = fsum(x * x for x in rest) / max(1, len(rest) - len(options)) or 1.0
    priors = {option: log(len(values) + 1) for option, values in groups.items()}
    return [
        _log_softmax([priors[option] - (x - means[option]) ** 2 / (2 * variance) for option in options]) for x in asked
    ]


def _odds(learnt: Sequence[tuple[float, bool]], asked: Sequence[float]) -> list[float]:
    """Log-odds that a label is right, by the number of each record asked."""
    pairs = [(x, ("yes",) if right else ("no",)) for x, right in learnt]
    return [yes - no for yes, no in _densities(pairs, ("yes", "no"), asked)]


def _log_softmax(values: Sequence[float]) -> Scores:
    most = max(values)
    total = most + log(fsum(exp(value - most) for value in values))
    return tuple(value - total for value in values)
