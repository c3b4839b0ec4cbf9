"""Metrics over the entities that a generated answer names: exact precision, recall and F1, as CoNLL counts them."""

from collections import Counter
from collections.abc import Sequence

from mdkif import BadInput, Evaluator, Prediction, hookimpl, parse_entities

METRICS = {"precision": True, "recall": True, "f1": True, "macro_f1": True, "exact_match": True}


@hookimpl
def mdkif_evaluators() -> list[Evaluator]:
    """The evaluator `entities`."""
    return [
        Evaluator(
            name="entities",
            title="Entities: exact precision, recall and F1",
            target="mdkif_evaluator_entities:evaluate",
            metrics=METRICS,
        )
    ]


def evaluate(predictions: Sequence[Prediction]) -> dict[str, float]:
    """Exact entity-level metrics of the generated `text` against the gold "type: entity" lines, and `n`.

    Generated text has no offsets, so an entity is right if the record's gold has one of the same type and
    words, upper or lower case, that is not yet taken: a record's entities are multisets. `precision`,
    `recall` and `f1` are over all entities, 0 where nothing is named and something is gold or the reverse.
    `macro_f1` is the mean over the types in gold; a type the model invents counts against `precision` only.
    `exact_match` is the share of records whose multisets agree. What is undefined is not reported.

    Raises BadInput if a gold label is not a "type: entity" line.
    """
    from statistics import fmean

    if not predictions:
        return {"n": 0}
    gold, named, right = Counter[str](), Counter[str](), Counter[str]()
    exact = []
    for p in predictions:
        wanted, found = entities("\n".join(p.gold)), entities(p.text)
        if wanted.total() != len(p.gold):
            raise BadInput(
                f"The evaluator 'entities' cannot judge prediction {p.id}: its gold labels are not 'type: entity' "
                "lines; evaluate labels with 'classification' and free text with 'generation'."
            )
        exact.append(wanted == found)
        gold += types(wanted)
        named += types(found)
        right += types(wanted & found)
    metrics: dict[str, float] = {"n": len(predictions), "exact_match": fmean(exact)}
    if gold or named:
        metrics["precision"] = right.total() / max(1, named.total())
        metrics["recall"] = right.total() / max(1, gold.total())
        metrics["f1"] = _f1(right.total(), gold.total(), named.total())
    if gold:
        metrics["macro_f1"] = fmean(_f1(right[kind], gold[kind], named[kind]) for kind in gold)
    return metrics


def entities(text: str) -> Counter[str]:
    """The "type: entity" lines of an answer, in one case and with single spaces.

    >>> entities("Problem: Chest  pain") == entities("and:\\nproblem: chest pain")
    True
    """
    return Counter(" ".join(line.casefold().split()) for line in parse_entities(text))


def types(found: Counter[str]) -> Counter[str]:
    """How many entities there are of each type.

    >>> types(entities("test: CT\\ntest: CT\\nproblem: sepsis"))
    Counter({'test': 2, 'problem': 1})
    """
    return Counter(line.partition(":")[0] for line in found.elements())


def _f1(right: int, gold: int, named: int) -> float:
    return 2 * right / (gold + named)
