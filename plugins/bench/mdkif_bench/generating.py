"""Text of a blend beside what a user would run instead: transformers' own generate with the blend merged."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from mdkif import Base, Encoded, Record, generate

from .material import Bench, last_logits, random_ids, random_weights
from .timing import Row, agree, alternately, at_least, row, seconds

PROMPTS, PLACES, SHORTEST, LONGEST, NEW = 32, 16, 16, 64, 24


def stream(bench: Bench) -> Row:
    """Greedy tokens per second of one prompt; the note has how many memory allows, by reading the weights."""
    made = row(*_measured(bench, [LONGEST]), at_least(1.0), "tokens/s", NEW)
    read = weights_read(bench.base)
    limit = 1 / seconds(lambda: [weight.view(torch.int64).amax() for weight in read])
    size = sum(weight.numel() * weight.element_size() for weight in read)
    speed = f"{size / 1e6:.0f} MB of weights a token, {size * limit / 1e9:.1f} GB/s"
    return made | {"note": f"memory allows {limit:.0f} tokens/s ({speed})"}


def streams(bench: Bench) -> Row:
    """The same of 32 prompts of different lengths in 16 places, whose texts end at different tokens."""
    draw = random.Random(0)
    lengths = [draw.randint(SHORTEST, LONGEST) for _ in range(PROMPTS)]
    with ending(bench, lengths, draw) as tokens:
        return row(*_measured(bench, lengths), at_least(1.0), "tokens/s", tokens)


def _measured(bench: Bench, lengths: Sequence[int]) -> tuple[str, tuple[list[float], list[float]]]:
    """A row's name and its costs in seconds: a blend by us beside the same one, merged, by transformers."""
    base, bank, weights = bench.base, bench.bank(), random_weights(bench.skills)
    rows, tokens = prompts(base, lengths), PLACES * (max(lengths) + NEW)
    check = random_ids(base, 1, SHORTEST).to(base.model.device)
    with bank.applied(weights):
        exact = last_logits(base.model, check)
        generate(base, rows, NEW, tokens)
    with bank.merged(weights):
        agree("the blend merged into the weights", exact, last_logits(base.model, check), bench.tolerance)

    def ours() -> float:
        with bank.applied(weights):
            return seconds(lambda: generate(base, rows, NEW, tokens))

    def theirs() -> float:
        with bank.merged(weights):
            return seconds(lambda: by_transformers(base, rows))

    what = "one prompt" if len(lengths) == 1 else f"{len(lengths)} prompts in {PLACES} places"
    name = f"text of a blend for {what} / by transformers' generate with it merged"
    return name, alternately(ours, theirs, bench.repeats)


def prompts(base: Base, lengths: Sequence[int]) -> list[Encoded]:
    """Random prompts of these lengths."""
    record = Record(id="bench", query="", answer="")
    each = random_ids(base, len(lengths), max(lengths)).tolist()
    return [Encoded(record, tuple(ids[:length]), ()) for ids, length in zip(each, lengths, strict=True)]


@contextmanager
def ending(bench: Bench, lengths: Sequence[int], draw: random.Random) -> Iterator[int]:
    """Within the block texts end by tokens that stand at a place drawn in each of them; how many tokens are written."""
    base, bank, weights = bench.base, bench.bank(), random_weights(bench.skills)
    settings: Any = base.model.generation_config
    before = settings.eos_token_id
    try:
        settings.eos_token_id = None
        with bank.merged(weights):
            texts = by_transformers(base, prompts(base, lengths))
        ends = {text[draw.randrange(NEW)] for text in texts}
        settings.eos_token_id = sorted(ends)
        yield sum(next((i + 1 for i, token in enumerate(text) if token in ends), NEW) for text in texts)
    finally:
        settings.eos_token_id = before


def by_transformers(base: Base, rows: Sequence[Encoded]) -> list[list[int]]:
    """The tokens that transformers' own greedy search writes, in batches of 16 prompts of similar length."""
    model: Any = base.model
    order = sorted(range(len(rows)), key=lambda i: len(rows[i].prompt))
    found: dict[int, list[int]] = {}
    for start in range(0, len(order), PLACES):
        places = order[start : start + PLACES]
        length = len(rows[places[-1]].prompt)
        ids = torch.full((len(places), length), base.pad)
        for line, i in zip(ids, places, strict=True):
            line[length - len(rows[i].prompt) :] = torch.tensor(rows[i].prompt)
        mask = torch.tensor([[0] * (length - len(rows[i].prompt)) + [1] * len(rows[i].prompt) for i in places])
        out = model.generate(
            input_ids=ids.to(model.device),
            attention_mask=mask.to(model.device),
            max_new_tokens=NEW,
            do_sample=False,
            pad_token_id=base.pad,
        )
        found |= zip(places, out[:, length:].tolist(), strict=True)
    return [found[i] for i in range(len(rows))]


def weights_read(base: Base) -> list[torch.Tensor]:
    """The matrices that every token multiplies: all but embeddings that are only looked up."""
    head = base.model.get_output_embeddings()
    table = base.model.get_input_embeddings().weight
    every = [each for each in base.model.parameters() if each.dim() == 2]
    return [each.detach() for each in every if each is not table or each is head.weight]
