"""Metrics over scored or extracted labels: accuracy, F1, AUROC and log loss, for one right label or for several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import fsum
from typing import TYPE_CHECKING, Any

from mdkif import BadInput, Evaluator, MdkifError, Prediction, hookimpl

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Scores = NDArray[np.float64]
    Marks = NDArray[np.bool_]

TOPS = (5, 8, 15)
METRICS = {"accuracy": True, "macro_f1": True, "micro_f1": True, "auroc": True, "micro_auroc": True, "log_loss": False}
METRICS |= {f"precision_at_{k}": True for k in TOPS}
METRICS |= {f"pmi_{name}": True for name in ("macro_f1", "micro_f1", "auroc", "micro_auroc")}
METRICS |= {"oracle_macro_f1": True, "oracle_micro_f1": True}


@hookimpl
def mdkif_evaluators() -> list[Evaluator]:
    """The evaluator `classification`."""
    return [
        Evaluator(
            name="classification",
            title="Classification: accuracy, F1, AUROC and log loss",
            target="mdkif_evaluator_classification:evaluate",
            metrics=METRICS,
            judges="options",
            calibrates=True,
        )
    ]


def evaluate(predictions: Sequence[Prediction], calibration: Sequence[Prediction] = ()) -> dict[str, float]:
    """The metrics of predictions, each only where it is defined, and `n`.

    Where every record has one right label: `accuracy` of the likeliest option, `log_loss` of the
    softmax over the options, and, if all records list the same options, `macro_f1`, `auroc` (one
    against the rest, by the log-odds) and `micro_auroc`.

    As soon as one record has several labels or none, they are multi-label: `auroc` and `micro_auroc` of the
    scores, and `precision_at_k`, the share of right ones among a record's k likeliest labels (CAML's, for lists
    of more than k). `macro_f1` and `micro_f1` mark what scores at least as much as the break-even point of
    `calibration`, where as many of its (record, label) pairs are marked as are right; `oracle_macro_f1` and
    `oracle_micro_f1` take that of the predictions themselves, which looks at what is right. Those with `pmi_` rank
    labels by their log-odds against the unconditional likelihood, log p(label | record) - log p(label), where that
    was measured: without a softmax in which the labels of one record compete.

    Predictions without scores, whose labels were extracted, have `accuracy` and `macro_f1` or, where
    they are multi-label, `macro_f1` and `micro_f1` of exactly those labels.

    Labels for which a macro-averaged metric is undefined (never right, or always) are left out of
    the average and counted in `auroc_undefined` and `f1_undefined`.

    Raises BadInput if an option has no score, MdkifError if a score is not a finite number.
    """
    if not predictions:
        return {"n": 0}
    single = all(not p.multi_label and len(p.gold) == 1 for p in predictions)
    if all(p.options and not p.scores for p in predictions):
        return _of_labels(predictions, single)
    _check(predictions)
    metrics: dict[str, float] = {"n": len(predictions)}
    if single:
        metrics["accuracy"] = sum(_likeliest(p) == p.gold[0] for p in predictions) / len(predictions)
        metrics["log_loss"] = fsum(map(_surprise, predictions)) / len(predictions)
    classes = sorted(set(predictions[0].options))
    if any(sorted(p.options) != classes for p in predictions):
        return metrics
    gold, scores = _matrices(predictions, classes)
    if single:
        marked = _marks([{_likeliest(p)} for p in predictions], classes)
        return metrics | _macro_f1(gold, marked) | _auroc(gold, _log_odds(scores))
    usable = [p for p in calibration if p.scores and sorted(p.options) == classes]
    metrics |= _several(gold, scores, _matrices(usable, classes) if usable else None)
    oracle = {name: value for name, value in _f1(gold, _break_even(gold, scores)).items() if "undefined" not in name}
    metrics |= {f"oracle_{name}": value for name, value in oracle.items()} | _precision_at(gold, scores)
    if all(p.likelihoods and p.likelihoods.unconditional for p in predictions):
        against = [p for p in usable if p.likelihoods and p.likelihoods.unconditional]
        found = _several(*_matrices(predictions, classes, _pmi), _matrices(against, classes, _pmi) if against else None)
        metrics |= {f"pmi_{name}": value for name, value in found.items() if "undefined" not in name}
    return metrics


def _several(gold: Marks, scores: Scores, calibration: tuple[Marks, Scores] | None) -> dict[str, float]:
    """AUROC of scores of labels that do not compete and, with records to set a threshold by, F1 at that."""
    found = _auroc(gold, scores)
    if calibration is None:
        return found
    return found | _f1(gold, scores >= _threshold(*calibration))


def _f1(gold: Marks, marked: Marks) -> dict[str, float]:
    return _macro_f1(gold, marked) | _micro_f1(gold, marked)


def _pmi(prediction: Prediction) -> Sequence[float]:
    assert prediction.likelihoods is not None
    return prediction.likelihoods.pmi


def _scores(prediction: Prediction) -> Sequence[float]:
    return prediction.scores


def _of_labels(predictions: Sequence[Prediction], single: bool) -> dict[str, float]:
    metrics: dict[str, float] = {"n": len(predictions)}
    if single:
        metrics["accuracy"] = sum(p.labels == p.gold for p in predictions) / len(predictions)
    classes = sorted(set(predictions[0].options))
    if any(sorted(p.options) != classes for p in predictions):
        return metrics
    gold = _marks([set(p.gold) for p in predictions], classes)
    marked = _marks([set(p.labels) for p in predictions], classes)
    return metrics | _macro_f1(gold, marked) | ({} if single else _micro_f1(gold, marked))


def _check(predictions: Sequence[Prediction]) -> None:
    import numpy as np

    for prediction in predictions:
        if not prediction.scores:
            raise BadInput(
                f"The evaluator 'classification' cannot judge prediction {prediction.id}: it has no scores; "
                "evaluate free text with 'generation'."
            )
        if not np.isfinite(prediction.scores).all():
            raise MdkifError(
                f"The scores of prediction {prediction.id} are not finite numbers: the model overflowed; "
                "load it in float32 or bfloat16."
            )


def _likeliest(prediction: Prediction) -> str:
    return prediction.options[prediction.scores.index(max(prediction.scores))]


def _surprise(prediction: Prediction) -> float:
    """-log p of the right label under the softmax over the options."""
    import numpy as np

    right = prediction.scores[prediction.options.index(prediction.gold[0])]
    return max(0.0, float(np.logaddexp.reduce(prediction.scores)) - right)


def _matrices(
    predictions: Sequence[Prediction],
    classes: Sequence[str],
    numbers: Callable[[Prediction], Sequence[float]] = _scores,
) -> tuple[Marks, Scores]:
    """Gold marks and scores, one row a record and one column a class, however a record orders its options."""
    import numpy as np

    scored = [dict(zip(p.options, numbers(p), strict=True)) for p in predictions]
    scores = np.array([[row[name] for name in classes] for row in scored])
    return _marks([set(p.gold) for p in predictions], classes), scores


def _marks(labels: Sequence[set[str]], classes: Sequence[str]) -> Marks:
    import numpy as np

    return np.array([[name in row for name in classes] for row in labels])


def _log_odds(scores: Scores) -> Scores:
    """log p / (1 - p) of each class under the softmax: unlike p it never saturates to ties.

    For two classes it is the difference of their scores.
    """
    import numpy as np

    if scores.shape[1] == 1:
        return scores
    rest = [np.logaddexp.reduce(np.delete(scores, column, axis=1), axis=1) for column in range(scores.shape[1])]
    return np.asarray(scores - np.stack(rest, axis=1))


def _threshold(gold: Marks, scores: Scores) -> float:
    """The break-even point: the lowest of the highest scores, as many as are right."""
    import numpy as np

    return float(np.sort(scores, axis=None)[-int(gold.sum())]) if gold.any() else float("inf")


def _break_even(gold: Marks, scores: Scores) -> Marks:
    """The highest-scored pairs, as many as are right; a tie at the edge is marked whole, so order does not matter."""
    import numpy as np

    return np.asarray(scores >= _threshold(gold, scores))


def _macro_f1(gold: Marks, marked: Marks) -> dict[str, float]:
    from sklearn.metrics import f1_score

    defined = (gold | marked).any(axis=0)
    metrics = {"f1_undefined": float((~defined).sum())}
    if defined.any():
        each: Any = f1_score(gold[:, defined], marked[:, defined], average=None, zero_division=0)
        metrics["macro_f1"] = fsum(each) / len(each)
    return metrics


def _micro_f1(gold: Marks, marked: Marks) -> dict[str, float]:
    pairs = int(gold.sum() + marked.sum())
    return {"micro_f1": 2 * float((gold & marked).sum()) / pairs} if pairs else {}


def _precision_at(gold: Marks, scores: Scores) -> dict[str, float]:
    import numpy as np

    ranked = np.take_along_axis(gold, np.argsort(-scores, axis=1, kind="stable"), axis=1)
    return {f"precision_at_{k}": float(ranked[:, :k].mean()) for k in TOPS if k < gold.shape[1]}


def _auroc(gold: Marks, scores: Scores) -> dict[str, float]:
    from sklearn.metrics import roc_auc_score

    defined = gold.any(axis=0) & ~gold.all(axis=0)
    metrics = {"auroc_undefined": float((~defined).sum())}
    if defined.any():
        columns = zip(gold.T[defined], scores.T[defined], strict=True)
        each = [float(roc_auc_score(right, scored)) for right, scored in columns]
        metrics["auroc"] = fsum(each) / len(each)
    if gold.any() and not gold.all():
        metrics["micro_auroc"] = float(roc_auc_score(gold.ravel(), scores.ravel()))
    return metrics
