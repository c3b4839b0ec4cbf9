"""A model's answers to records: scored labels, extracted labels or generated text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Literal

from ..adapters.target import resolve
from ..contract.declarations import Normaliser, PromptedSpec, Read
from ..data.conversion import MALFORMED, ConversionReport
from ..data.labels import joined
from ..data.records import Record
from ..errors import BadInput
from ..progress import Progress
from ..prompts.encoding import Encoded, Encoder
from ..prompts.templates import Template
from ..workspace import Workspace
from .predictions import Likelihoods, Prediction

CHUNK, WINDOW = 64, 512
Mode = Literal["score", "span"]
Asked = tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]  # the ids of a prompt and of its options


@dataclass(frozen=True, kw_only=True)
class Answering:
    """How records are answered.

    `mode` "score" gives every listed label its log-likelihood, made comparable by `normaliser` (see
    `scoring.normalised`); "span" extracts labels from the query as the papers do (see `constrained.extract`). With
    `multi_label` any number of them may be right. Without listed labels at most `max_new_tokens` are generated, and
    `read` says how far: all of it, or to the end of the first line.
    """

    mode: Mode = "score"
    normaliser: Normaliser = "sum"
    multi_label: bool = False
    max_new_tokens: int = 64
    read: Read = "all"

    @classmethod
    def of(
        cls, declared: PromptedSpec, mode: Mode = "score", normaliser: Normaliser | None = None, read: Read = "all"
    ) -> Answering:
        """As a skill or task declares it; `normaliser` takes the place of its own."""
        return cls(
            mode=mode,
            normaliser=normaliser or declared.normaliser,
            multi_label=declared.multi_label,
            max_new_tokens=declared.max_new_tokens,
            read=read,
        )


def answered(
    workspace: Workspace,
    target: str,
    records: Iterable[Record],
    max_length: int = 1024,
    max_new_tokens: int = 128,
    report: ConversionReport | None = None,
) -> Iterator[Prediction]:
    """Answers to records as they are, without a task's template, one for each and in their order.

    Records are read as answers are asked for, and never more than a few hundred held. What lists options has each
    scored, and for anything else text is generated. Raises BadInput for an unknown target, and for a record that does
    not fit unless `report` skips bad ones: then its answer is empty.
    """
    [resolved] = resolve(workspace, [target])
    encoder = workspace.encoder(Template("instruction.jinja"), max_length)
    answering, waiting = Answering(max_new_tokens=max_new_tokens), iter(records)
    with resolved.applied() as base:
        adapted = replace(encoder, base=base)
        while window := list(islice(waiting, WINDOW)):
            answers: dict[str, Prediction] = {}
            for listed in (True, False):
                examples = list(encoder.encode(record for record in window if bool(record.options) == listed))
                if examples:
                    found = predict(adapted, examples, answering, workspace.progress, f"predicting with {target}")
                    answers |= {answer.id: answer for answer in found}
            if missing := sum(record.id not in answers for record in window):
                if report is None or not report.skip_bad:
                    raise BadInput(f"{missing} record(s) do not fit into {max_length} tokens: use --max-length.")
                report.left_out[f"{MALFORMED}does not fit into {max_length} tokens"] += missing
            empty = (Prediction(id=record.id, gold=record.labels, answer=record.answer) for record in window)
            yield from (answers.get(nothing.id, nothing) for nothing in empty)


def predict(
    encoder: Encoder,
    examples: Sequence[Encoded],
    answering: Answering,
    progress: Progress | None = None,
    title: str = "",
) -> list[Prediction]:
    """The answers of the encoder's base model as it stands: labels where every example lists options, else text.

    Examples of similar length are computed together, the longest first, and their answers given in the order asked.
    """
    answers: dict[int, Prediction] = {}
    unconditional: dict[Asked, list[float]] = {}
    listed = all(example.options for example in examples)
    order = sorted(range(len(examples)), key=lambda i: len(examples[i].prompt), reverse=True)
    with (progress or Progress()).task(title, len(examples)) as bar:
        for start in range(0, len(order), CHUNK):
            places = order[start : start + CHUNK]
            chunk = [examples[i] for i in places]
            if not listed:
                found = _generated(encoder, chunk, answering)
            elif answering.mode == "span":
                found = _extracted(encoder, chunk, answering)
            else:
                found = _scored(encoder, chunk, answering, unconditional)
            answers |= zip(places, found, strict=True)
            bar.advance(len(chunk))
    return [answers[i] for i in range(len(examples))]


def _scored(
    encoder: Encoder,
    chunk: Sequence[Encoded],
    answering: Answering,
    unconditional: dict[Asked, list[float]],
) -> list[Prediction]:
    from .scoring import normalised

    predictions = []
    for example, found in zip(chunk, _likelihoods(encoder, chunk, answering, unconditional), strict=True):
        scores = normalised(found, answering.normaliser)
        best = example.record.options[scores.index(max(scores))]
        answer = {"scores": scores, "likelihoods": found, "text": best}
        predictions.append(_prediction(example, answering, **answer))
    return predictions


def _likelihoods(
    encoder: Encoder,
    chunk: Sequence[Encoded],
    answering: Answering,
    unconditional: dict[Asked, list[float]],
) -> Iterator[Likelihoods]:
    """What is measured of each example; without their contexts many ask the same, and that is measured once."""
    from .scoring import option_characters, option_scores, without_contexts

    asked: list[Asked] = []
    if answering.normaliser == "pmi" or answering.multi_label:  # of several labels evaluators see both rankings
        bare = without_contexts(encoder, chunk)
        asked = [(each.prompt, each.options) for each in bare]
        new = {key: each for key, each in zip(asked, bare, strict=True) if key not in unconditional}
        unconditional |= dict(zip(new, option_scores(encoder.base, list(new.values())), strict=True))
    without = [tuple(unconditional[key]) for key in asked] or [()] * len(chunk)
    for example, sums, bare_sums in zip(chunk, option_scores(encoder.base, chunk), without, strict=True):
        yield Likelihoods(
            sums=tuple(sums),
            tokens=tuple(map(len, example.options)),
            characters=option_characters(encoder, example),
            unconditional=bare_sums,
        )


def _extracted(encoder: Encoder, chunk: Sequence[Encoded], answering: Answering) -> list[Prediction]:
    from .constrained import extract

    return [
        _prediction(example, answering, labels=labels, text=joined(labels))
        for example, labels in zip(chunk, extract(encoder, chunk, answering.multi_label), strict=True)
    ]


def _generated(encoder: Encoder, chunk: Sequence[Encoded], answering: Answering) -> list[Prediction]:
    from .generation import generate

    texts = generate(encoder.base, chunk, answering.max_new_tokens, first_line=answering.read == "first-line")
    return [
        Prediction(id=r.id, gold=r.labels, answer=r.answer, text=encoder.template.parse_answer(text, r))
        for r, text in zip((example.record for example in chunk), texts, strict=True)
    ]


def _prediction(example: Encoded, answering: Answering, **answer: Any) -> Prediction:
    record = example.record
    return Prediction(
        id=record.id,
        gold=record.labels,
        answer=record.answer,
        options=record.options,
        multi_label=answering.multi_label,
        **answer,
    )
