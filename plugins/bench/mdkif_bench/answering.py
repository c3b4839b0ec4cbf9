"""Answers: text of a merged composition beside the base's, and scores of many labels beside lm-eval's."""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
from mdkif import Base, Encoded, Record, collate, option_scores

from .material import Bench, last_logits, random_ids, random_weights
from .timing import Row, agree, alternately, at_least, row, seconds, timed

PROMPT, NEW = 32, 32
CONTEXT, LABELS, LABEL_TOKENS = 256, 50, 4
LM_EVAL_BATCH = 8
EVALUATED, TOGETHER = 500, 50
FEW = 2  # times an evaluation is measured at most


def generation(bench: Bench) -> Row:
    """Greedy tokens per second with a composition in the weights beside the base's; checked against the blend."""
    base, bank, weights = bench.base, bench.bank(), random_weights(bench.skills)
    ids = random_ids(base, 1, PROMPT).to(base.model.device)
    with bank.blend(weights):
        exact = last_logits(base.model, ids)
    with bank.merged(weights):
        agree("the blend beside the weights", last_logits(base.model, ids), exact, bench.tolerance)

    def merged() -> float:
        with bank.merged(weights):
            return seconds(lambda: generate(base, ids))

    merged()
    costs = alternately(merged, timed(lambda: generate(base, ids)), bench.repeats)
    return row("generation by a merged composition / by the base", costs, at_least(0.98), "tokens/s", NEW)


def labels(bench: Bench) -> Row:
    """All labels in one pass beside lm-eval or, where it is not installed, one pass for each label."""
    base = bench.base
    context, continuations = texts(base)
    prompt = tokens(base, context)
    options = tuple(tokens(base, context + each)[len(prompt) :] for each in continuations)
    record = Record(id="bench", query="", answer="")
    whole = Encoded(record, prompt, (), options)

    def together() -> torch.Tensor:
        return torch.tensor(option_scores(base, [whole])[0])

    def one_by_one() -> torch.Tensor:
        return torch.tensor([option_scores(base, [Encoded(record, prompt, (), (o,))])[0][0] for o in options])

    lm_eval = by_lm_eval(base, context, continuations)
    peer = lm_eval or one_by_one
    agree("the scores of lm-eval" if lm_eval else "one pass for each label", together(), peer(), bench.tolerance)
    who = f"lm-eval on {LABELS} labels" if lm_eval else f"one pass for each of {LABELS} labels"
    costs = alternately(timed(together), timed(peer), bench.repeats)
    return row(f"{who} / all in one pass", costs, at_least(8.0))


def evaluation(bench: Bench) -> Row:
    """Prompts' tokens per second of scoring four options of 500 records beside the base's forward over the prompts."""
    base = bench.base
    records = multiple_choice(base)
    prompts = [Encoded(each.record, each.prompt[:-1], each.prompt[-1:]) for each in records]
    batches = [
        collate(prompts[start : start + TOGETHER], base.pad, base.model.device)
        for start in range(0, EVALUATED, TOGETHER)
    ]

    def plain() -> None:
        for batch in batches:
            last_logits(base.model, batch.ids, attention_mask=batch.mask, position_ids=batch.positions)

    once = option_scores(base, records[:TOGETHER])
    alone = [option_scores(base, [each])[0] for each in records[:TOGETHER]]
    agree("every record by itself", torch.tensor(once), torch.tensor(alone), 2 * bench.tolerance)
    costs = alternately(timed(lambda: option_scores(base, records)), timed(plain), min(bench.repeats, FEW))
    name = f"scoring four options of {EVALUATED} records / a forward of the base over the prompts"
    return row(name, costs, at_least(0.9), "tokens/s", sum(len(each.prompt) for each in records))


def multiple_choice(base: Base) -> list[Encoded]:
    """Records of 24 to 40 tokens with four options of one token each, the shortest first."""
    draw = random.Random(0)
    rows = [tuple(ids[: draw.randint(24, 40)]) for ids in random_ids(base, EVALUATED, 40).tolist()]
    letters = tuple((token,) for token in range(30, 34))
    record = Record(id="bench", query="", answer="")
    return [Encoded(record, ids, letters[0], letters) for ids in sorted(rows, key=len)]


def by_lm_eval(base: Base, context: str, continuations: list[str]) -> Callable[[], torch.Tensor] | None:
    """lm-eval's log-likelihoods of the same texts by the same model; None where it is not installed."""
    try:
        model_class = import_module("lm_eval.models.huggingface").HFLM
        request_class = import_module("lm_eval.api.instance").Instance
    except ImportError:
        return None
    logging.getLogger("lm_eval").setLevel(logging.ERROR)  # it warns of a model that is loaded already
    model = model_class(pretrained=base.model, tokenizer=base.tokenizer, batch_size=LM_EVAL_BATCH)
    requests = [
        request_class(request_type="loglikelihood", doc={}, arguments=(context, each), idx=i)
        for i, each in enumerate(continuations)
    ]
    return lambda: torch.tensor([score for score, _ in model.loglikelihood(requests, disable_tqdm=True)])


def texts(base: Base) -> tuple[str, list[str]]:
    """A context of 256 tokens and 50 labels of four, made of the vocabulary's words, each of which is one token."""
    draw = random.Random(0)
    vocabulary = sorted(base.tokenizer.get_vocab())
    words = [word for word in (re.sub("^[Ġ▁]", " ", token) for token in vocabulary) if re.fullmatch(" [a-z]+", word)]
    found = ["".join(draw.choices(words, k=LABEL_TOKENS)) for _ in range(LABELS)]
    return "".join(draw.choices(words, k=CONTEXT)).lstrip(), found


def tokens(base: Base, text: str) -> tuple[int, ...]:
    """A text's ids, as lm-eval takes them: an answer's are what it adds to those of its prompt."""
    ids: Any = base.tokenizer(text)["input_ids"]
    return tuple(ids)


def generate(base: Base, ids: torch.Tensor) -> torch.Tensor:
    """Exactly `NEW` greedy tokens."""
    model: Any = base.model
    found: torch.Tensor = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        min_new_tokens=NEW,
        max_new_tokens=NEW,
        do_sample=False,
        pad_token_id=base.pad,
    )
    assert found.shape[1] == ids.shape[1] + NEW
    return found
