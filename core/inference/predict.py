"""A model's answers to records: scored labels, extracted labels or generated text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from ..data.labels import joined
from ..progress import Progress
from ..prompts.encoding import Encoded, Encoder
from ..workspace import Workspace
from .predictions import Likelihoods, Prediction

if TYPE_CHECKING:
    from ..contract.declarations import PromptedSpec

CHUNK = 64
Answer = Literal["score", "span"]
Asked = tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]  # the ids of a prompt and of its options


def predict(
    workspace: Workspace,
    declared: PromptedSpec,
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
    declared: PromptedSpec, encoder: Encoder, chunk: Sequence[Encoded], unconditional: dict[Asked, list[float]]
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
    declared: PromptedSpec, encoder: Encoder, chunk: Sequence[Encoded], unconditional: dict[Asked, list[float]]
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
        before = encoder.template.answer_affixes(example.record)[0]
        yield Likelihoods(
            sums=tuple(sums),
            tokens=tuple(map(len, example.options)),
            characters=tuple(len(before + option) for option in example.record.options),
            unconditional=bare_sums,
        )


def _extracted(declared: PromptedSpec, encoder: Encoder, chunk: Sequence[Encoded]) -> list[Prediction]:
    from .constrained import extract

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
    from .generation import generate

    texts = generate(workspace.base, chunk, max_new_tokens)
    return [
        Prediction(
            id=e.record.id,
            gold=e.record.labels,
            answer=e.record.answer,
            text=encoder.template.parse_answer(text, e.record),
        )
        for e, text in zip(chunk, texts, strict=True)
    ]
