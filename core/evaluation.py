"""Predictions of a model on records, and a task's metrics over them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from .answers import joined
from .compositions import origins, running
from .conversion import Conversion
from .declarations import Evaluator, Normaliser, Task
from .encoding import Encoded, Encoder
from .errors import BadInput, unknown
from .predictions import Likelihoods, Prediction
from .progress import Progress
from .store import write_json
from .workspace import Sources, Workspace, sample

if TYPE_CHECKING:
    from .declarations import Instructed

CHUNK = 64
Answer = Literal["score", "span"]
Asked = tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]  # the ids of a prompt and of its options


@dataclass(frozen=True)
class Evaluation:
    """The metrics of one target on one task's records; `normaliser` is None where no labels were scored."""

    task: str
    target: str
    n: int
    metrics: Mapping[str, float]
    counts: Mapping[str, int]
    normaliser: Normaliser | None = None


def evaluate(
    workspace: Workspace,
    name: str,
    sources: Sources,
    targets: Sequence[str],
    limit: int = 0,
    seed: int = 0,
    split: str = "test",
    max_length: int = 512,
    skip_bad: bool = False,
    data: Mapping[str, Any] | None = None,
    split_policy: str = "official",
    answer: Answer = "score",
    normaliser: Normaliser | None = None,
) -> list[Evaluation]:
    """The task's metrics for each target ("base", "skill:NAME" or a composition) on the same records.

    `answer` "score" gives every listed label its log-likelihood, "span" extracts labels from the
    query as the papers do (see `extraction.extract`); without listed labels text is generated.
    `normaliser` takes the place of the task's own. `split_policy` must be the one a target
    was made under. `limit` draws that many of the split's records by seed, 0 takes all. Every result is
    also written to the store's reports, with ids, scores, what the scores were made of and the numbers
    of the gold and extracted options, but no text: where the options are answers they are a record's.
    """
    declared = workspace.plugins.get(Task, name)
    if normaliser is not None and normaliser not in get_args(Normaliser):
        raise unknown("normaliser", normaliser, get_args(Normaliser))
    task = replace(declared, normaliser=normaliser or declared.normaliser)
    evaluator = workspace.plugins.get(Evaluator, task.evaluator)
    for target in targets:  # a wrong one is found before any takes its time
        _check_splits(workspace, task, sources, target, split_policy)
    records = workspace.records(task, sources, Conversion(skip_bad), data, split_policy)
    drawn = sample(records, {split: limit}, seed)[split]
    encoder = workspace.encoder(task, max_length)
    examples = encoder.encode_all(drawn, f"'{split}' records of '{name}'")
    done = []
    for target in targets:
        with running(workspace, target):
            predictions = predict(workspace, task, encoder, examples, f"evaluating {target}", answer)
        metrics = evaluator.load()(predictions)
        used = task.normaliser if any(p.likelihoods for p in predictions) else None
        done.append(Evaluation(name, target, len(examples), metrics, dict(encoder.counts), used))
        _report(workspace, done[-1], predictions)
    return done


def _check_splits(workspace: Workspace, task: Task, sources: Sources, target: str, policy: str) -> None:
    """Raises BadInput if the target learnt from records that this policy may call test, or is unknown."""
    made = origins(workspace, target, task.name, set(sources))
    for what, learnt in made.items():
        if learnt != policy:
            raise BadInput(
                f"'{target}' cannot be measured with the split policy '{policy}': {what} was made with '{learnt}', "
                f"whose training records it would be tested on; use --split-policy {learnt}."
            )


def predict(
    workspace: Workspace,
    declared: Instructed,
    encoder: Encoder,
    examples: Sequence[Encoded],
    title: str = "",
    answer: Answer = "score",
) -> list[Prediction]:
    """The base model's answers as it stands: labels where options are listed, else generated text."""
    predictions: list[Prediction] = []
    unconditional: dict[Asked, list[float]] = {}
    progress = workspace.progress if title else Progress()
    with progress.task(title, len(examples)) as bar:
        for start in range(0, len(examples), CHUNK):
            chunk = examples[start : start + CHUNK]
            if not all(example.options for example in chunk):
                predictions += _generated(workspace, encoder, chunk, declared.max_new_tokens)
            elif answer == "span":
                predictions += _extracted(declared, encoder, chunk)
            else:
                predictions += _scored(declared, encoder, chunk, unconditional)
            bar.advance(len(chunk))
    return predictions


def _scored(
    declared: Instructed, encoder: Encoder, chunk: Sequence[Encoded], unconditional: dict[Asked, list[float]]
) -> list[Prediction]:
    from .scoring import normalised

    predictions = []
    for example, found in zip(chunk, _likelihoods(declared, encoder, chunk, unconditional), strict=True):
        record, scores = example.record, normalised(found, declared.normaliser)
        predictions.append(
            Prediction(
                id=record.id,
                gold=record.labels,
                answer=record.answer,
                options=record.options,
                scores=scores,
                likelihoods=found,
                text=record.options[scores.index(max(scores))],
                multi_label=declared.multi_label,
            )
        )
    return predictions


def _likelihoods(
    declared: Instructed, encoder: Encoder, chunk: Sequence[Encoded], unconditional: dict[Asked, list[float]]
) -> Iterator[Likelihoods]:
    """What is measured of each example; without their contexts many ask the same, and that is measured once."""
    from .scoring import option_scores

    asked: list[Asked] = []
    if declared.normaliser == "pmi":
        uncounted = replace(encoder, counts=Counter())
        bare = list(uncounted.encode(replace(example.record, context="") for example in chunk))
        asked = [(each.prompt, each.options) for each in bare]
        new = {key: each for key, each in zip(asked, bare, strict=True) if key not in unconditional}
        unconditional |= dict(zip(new, option_scores(encoder.base, list(new.values())), strict=True))
    without = [tuple(unconditional[key]) for key in asked] or [()] * len(chunk)
    for example, sums, bare_sums in zip(chunk, option_scores(encoder.base, chunk), without, strict=True):
        before = encoder.template.frame(example.record)[0]
        yield Likelihoods(
            sums=tuple(sums),
            tokens=tuple(map(len, example.options)),
            characters=tuple(len(before + option) for option in example.record.options),
            unconditional=bare_sums,
        )


def _extracted(declared: Instructed, encoder: Encoder, chunk: Sequence[Encoded]) -> list[Prediction]:
    from .extraction import extract

    return [
        Prediction(
            id=example.record.id,
            gold=example.record.labels,
            answer=example.record.answer,
            options=example.record.options,
            labels=labels,
            text=joined(labels),
            multi_label=declared.multi_label,
        )
        for example, labels in zip(chunk, extract(encoder, chunk, declared.multi_label), strict=True)
    ]


def _generated(
    workspace: Workspace, encoder: Encoder, chunk: Sequence[Encoded], max_new_tokens: int
) -> list[Prediction]:
    from .scoring import generate

    texts = generate(workspace.base, chunk, max_new_tokens)
    return [
        Prediction(
            id=e.record.id, gold=e.record.labels, answer=e.record.answer, text=encoder.template.read(text, e.record)
        )
        for e, text in zip(chunk, texts, strict=True)
    ]


def _report(workspace: Workspace, done: Evaluation, predictions: Sequence[Prediction]) -> None:
    name = f"{done.task}-{done.target.replace(':', '-')}"
    body = {"task": done.task, "with": done.target, "base": workspace.base.name, "n": done.n}
    body |= {"metrics": dict(done.metrics), "counts": dict(done.counts), "normaliser": done.normaliser}
    write_json(workspace.store.report(name), body | {"records": list(map(_row, predictions))})


def _row(prediction: Prediction) -> dict[str, Any]:
    """What a report keeps of a prediction: numbers, one per option or of options, and the id."""
    gold = [prediction.options.index(label) for label in prediction.gold if prediction.options]
    found = [prediction.options.index(label) for label in prediction.labels]
    row: dict[str, Any] = {"id": prediction.id, "gold": gold, "scores": _rounded(prediction.scores), "labels": found}
    if of := prediction.likelihoods:
        row |= {"sums": _rounded(of.sums), "tokens": of.tokens, "token_means": _rounded(of.token_means)}
        row |= {"character_means": _rounded(of.character_means), "unconditional": _rounded(of.unconditional)}
    return row


def _rounded(numbers: Sequence[float]) -> list[float]:
    return [round(number, 5) for number in numbers]
