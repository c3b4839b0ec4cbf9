"""Log-likelihood of listed labels, the context read once."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice

import torch

from ..contract.declarations import Normaliser
from ..models.base import Base
from ..prompts.batching import budgeted, collate
from ..prompts.encoding import Encoded, Encoder
from .likelihood import answer_entropies
from .predictions import Likelihoods
from .projection import measured

Tokens = tuple[int, ...]
Trie = dict[Tokens, int]  # what options begin with, short of the whole, and its place
Place = tuple[int, int]  # a row of the batch, and 0 for its prompt's end or 1 + a node of its trie
MEASURES: dict[Normaliser, str] = {
    "sum": "sums",
    "token-mean": "token_means",
    "character": "character_means",
    "pmi": "pmi",
}


def option_scores(base: Base, rows: Sequence[Encoded], tokens: int = 4096) -> list[list[float]]:
    """log p(option | prompt) of every option of every row, summed over the option's tokens."""
    return [[math.fsum(option) for option in row] for row in token_scores(base, rows, tokens)]


def option_likelihoods(base: Base, rows: Sequence[Encoded]) -> list[torch.Tensor]:
    """The same in one forward pass, float32 (options,) for each row; gradients reach the blend the model computes.

    Raises ValueError where `tries_fit` says that options cannot share a pass.
    """
    if not tries_fit(base, rows):
        raise ValueError("options share no pass where a prompt is longer than the window of the model's attention")
    lengths = torch.tensor([len(option) for row in rows for option in row.options], device=base.model.device)
    each = _log_probabilities(base, rows, [_trie(row.options) for row in rows])
    owner = torch.repeat_interleave(torch.arange(len(lengths), device=each.device), lengths)
    sums = each.new_zeros(len(lengths)).index_add(0, owner, each)
    return list(sums.split([len(row.options) for row in rows]))


def option_tokens(row: Encoded) -> int:
    """How many tokens one pass over a prompt and all its options reads."""
    return len(row.prompt) + len(_trie(row.options))


def tries_fit(base: Base, rows: Sequence[Encoded]) -> bool:
    """Whether options can share a pass: a sliding window counts the columns of a mask, where a trie has no order."""
    window = getattr(base.model.config.get_text_config(), "sliding_window", None)
    return not window or all(len(row.prompt) + len(option) <= window for row in rows for option in row.options)


@torch.no_grad()
def token_scores(base: Base, rows: Sequence[Encoded], tokens: int = 4096) -> list[list[list[float]]]:
    """log p of every token of every option of every row, given the prompt and the tokens before it.

    A prompt and all its options go through one forward: the options are a trie whose nodes stand after
    the prompt, each sees the prompt and the nodes it continues (a tree mask), and positions continue
    from the prompt. What options begin with in common is computed once, and an option's last token is
    never an input, so one-token labels cost nothing beyond the prompt.
    """
    if not tries_fit(base, rows):
        return _one_by_one(base, rows, tokens)
    tries = [_trie(row.options) for row in rows]
    lengths = [len(row.prompt) + len(trie) for row, trie in zip(rows, tries, strict=True)]
    scores: list[list[list[float]]] = [[] for _ in rows]
    for indices in budgeted(lengths, tokens):
        each = iter(_log_probabilities(base, [rows[i] for i in indices], [tries[i] for i in indices]).tolist())
        for i in indices:
            scores[i] = [list(islice(each, len(option))) for option in rows[i].options]
    return scores


def _one_by_one(base: Base, rows: Sequence[Encoded], tokens: int) -> list[list[list[float]]]:
    whole = [Encoded(row.record, row.prompt, option) for row in rows for option in row.options]
    found: list[list[float]] = [[] for _ in whole]
    for indices in budgeted([len(each) for each in whole], tokens):
        batch = collate([whole[i] for i in indices], base.pad, base.model.device)
        losses = iter(answer_entropies(base.model, batch).tolist())
        for i in indices:
            found[i] = [-loss for loss in islice(losses, len(whole[i].answer))]
    each = iter(found)
    return [list(islice(each, len(row.options))) for row in rows]


def _trie(options: Sequence[Tokens]) -> Trie:
    """The place of every node, which is what an option begins with, short of the whole; parents come first."""
    trie: Trie = {}
    for option in options:
        for depth in range(1, len(option)):
            trie.setdefault(option[:depth], len(trie))
    return trie


def _log_probabilities(base: Base, rows: Sequence[Encoded], tries: Sequence[Trie]) -> torch.Tensor:
    """log p of the tokens of all options of all rows, in their order, float32 (tokens,), by one forward pass."""
    wanted = [
        (place, token)
        for i, (row, trie) in enumerate(zip(rows, tries, strict=True))
        for option in row.options
        for place, token in zip(_places(i, option, trie), option, strict=True)
    ]
    asked = {pair: n for n, pair in enumerate(sorted(set(wanted)))}
    places = {place: n for n, place in enumerate(dict.fromkeys(place for place, _ in asked))}
    inputs = _inputs(base, rows, tries)
    length, device = inputs["input_ids"].shape[1], base.model.device

    def numbers(found: Iterable[int]) -> torch.Tensor:
        return torch.tensor(list(found), dtype=torch.long, device=device)

    at, tokens = numbers(places[place] for place, _ in asked), numbers(token for _, token in asked)

    def logp(logits: torch.Tensor, chunk: slice) -> torch.Tensor:
        own = (at >= chunk.start) & (at < chunk.stop)
        return torch.log_softmax(logits, dim=-1)[at[own] - chunk.start, tokens[own]]

    columns = numbers(length - 1 - len(tries[row]) + after for row, after in places)
    found = measured(base.model, inputs, numbers(row for row, _ in places), columns, logp)
    return found[numbers(asked[pair] for pair in wanted)]


def _inputs(base: Base, rows: Sequence[Encoded], tries: Sequence[Trie]) -> dict[str, torch.Tensor]:
    """Prompts with their tries behind them, padded on the left, and the mask by which a node sees what it continues."""
    model, device = base.model, base.model.device
    length = max(len(row.prompt) + len(trie) for row, trie in zip(rows, tries, strict=True))
    ids = torch.full((len(rows), length), base.pad)
    positions = torch.zeros((len(rows), length), dtype=torch.long)
    sees = torch.zeros((len(rows), length, length), dtype=torch.bool)
    for i, (row, trie) in enumerate(zip(rows, tries, strict=True)):
        after = length - len(trie)
        start = after - len(row.prompt)
        ids[i, start:] = torch.tensor([*row.prompt, *(node[-1] for node in trie)])
        positions[i, start:] = torch.tensor([*range(len(row.prompt)), *(len(row.prompt) + len(n) - 1 for n in trie)])
        sees[i, start:after, start:after] = torch.ones(len(row.prompt), len(row.prompt), dtype=torch.bool).tril()
        sees[i, after:, start:after] = True
        seen = [(place, trie[node[:depth]]) for node, place in trie.items() for depth in range(1, len(node) + 1)]
        sees[i, [after + place for place, _ in seen], [after + place for _, place in seen]] = True
    mask = torch.zeros(sees.shape, dtype=model.dtype).masked_fill(~sees, torch.finfo(model.dtype).min)
    inputs = {"input_ids": ids, "attention_mask": mask[:, None], "position_ids": positions}
    return {name: value.to(device) for name, value in inputs.items()}


def _places(row: int, option: Tokens, trie: Trie) -> list[Place]:
    """What predicts each token of an option: the prompt's end, 0, and then the node the token follows."""
    return [(row, 0), *((row, 1 + trie[option[:depth]]) for depth in range(1, len(option)))]


def without_contexts(encoder: Encoder, examples: Sequence[Encoded]) -> list[Encoded]:
    """The same questions without their contexts, for what `pmi` subtracts; nothing of it is counted."""
    uncounted = replace(encoder, counts=Counter())
    return list(uncounted.encode(replace(example.record, context="") for example in examples))


def option_characters(encoder: Encoder, example: Encoded) -> tuple[int, ...]:
    """The length of every option's text as the template writes it."""
    before = encoder.template.answer_affixes(example.record)[0]
    return tuple(len(before + option) for option in example.record.options)


def normalised(found: Likelihoods, normaliser: Normaliser) -> tuple[float, ...]:
    """Scores comparable across records: normalised, then a log-softmax over the record's options.

    "sum" keeps log p(option | prompt), "token-mean" divides it by the option's tokens, "character" by
    the characters of its text (lm-eval's acc_norm), and "pmi" subtracts log p(option | the same prompt
    without its context). Raises ValueError for "pmi" where that was not measured.
    """
    scores: tuple[float, ...] = getattr(found, MEASURES[normaliser])
    return tuple(torch.log_softmax(torch.tensor(scores, dtype=torch.float64), dim=0).tolist())
