"""Log-likelihood of listed labels, the context read once."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from ..contract.declarations import Normaliser
from ..models.base import Base
from ..prompts.batching import budgeted
from ..prompts.encoding import Encoded
from .predictions import Likelihoods

Tokens = tuple[int, ...]
MEASURES: dict[Normaliser, str] = {
    "sum": "sums",
    "token-mean": "token_means",
    "character": "character_means",
    "pmi": "pmi",
}


def option_scores(base: Base, rows: Sequence[Encoded], tokens: int = 4096) -> list[list[float]]:
    """log p(option | prompt) of every option of every row, summed over the option's tokens."""
    return [[math.fsum(option) for option in row] for row in token_scores(base, rows, tokens)]


@torch.no_grad()
def token_scores(base: Base, rows: Sequence[Encoded], tokens: int = 4096) -> list[list[list[float]]]:
    """log p of every token of every option of every row, given the prompt and the tokens before it.

    A prompt and all its options go through one forward: the options are a trie whose nodes stand after
    the prompt, each sees the prompt and the nodes it continues (a tree mask), and positions continue
    from the prompt. What options begin with in common is computed once, and an option's last token is
    never an input, so one-token labels cost nothing beyond the prompt.
    """
    tries = [_trie(row.options) for row in rows]
    lengths = [len(row.prompt) + len(trie) for row, trie in zip(rows, tries, strict=True)]
    scores: list[list[list[float]]] = [[] for _ in rows]
    for indices in budgeted(lengths, tokens):
        for i, found in zip(indices, _score(base, [(rows[i], tries[i]) for i in indices]), strict=True):
            scores[i] = found
    return scores


def _trie(options: Sequence[Tokens]) -> dict[Tokens, int]:
    """The place of every node, which is what an option begins with, short of the whole; parents come first."""
    trie: dict[Tokens, int] = {}
    for option in options:
        for depth in range(1, len(option)):
            trie.setdefault(option[:depth], len(trie))
    return trie


def _score(base: Base, rows: Sequence[tuple[Encoded, dict[Tokens, int]]]) -> list[list[list[float]]]:
    model, device = base.model, base.model.device
    length = max(len(row.prompt) + len(trie) for row, trie in rows)
    keep = max(len(trie) for _, trie in rows) + 1
    ids = torch.full((len(rows), length), base.pad)
    positions = torch.zeros((len(rows), length), dtype=torch.long)
    sees = torch.zeros((len(rows), length, length), dtype=torch.bool)
    for i, (row, trie) in enumerate(rows):
        after = length - len(trie)
        start = after - len(row.prompt)
        ids[i, start:] = torch.tensor([*row.prompt, *(node[-1] for node in trie)])
        positions[i, start:] = torch.tensor([*range(len(row.prompt)), *(len(row.prompt) + len(n) - 1 for n in trie)])
        sees[i, start:after, start:after] = torch.ones(len(row.prompt), len(row.prompt), dtype=torch.bool).tril()
        sees[i, after:, start:after] = True
        seen = [(place, trie[node[:depth]]) for node, place in trie.items() for depth in range(1, len(node) + 1)]
        sees[i, [after + place for place, _ in seen], [after + place for _, place in seen]] = True
    mask = torch.zeros(sees.shape, dtype=model.dtype).masked_fill(~sees, torch.finfo(model.dtype).min)
    logits = model(
        input_ids=ids.to(device),
        attention_mask=mask[:, None].to(device),
        position_ids=positions.to(device),
        logits_to_keep=keep,
        use_cache=False,
    ).logits
    return [
        _row_scores(torch.log_softmax(logits[i, keep - 1 - len(trie) :].float(), dim=-1), row.options, trie)
        for i, (row, trie) in enumerate(rows)
    ]


def _row_scores(logp: torch.Tensor, options: Sequence[Tokens], trie: dict[Tokens, int]) -> list[list[float]]:
    """Each option's tokens; row 0 of `logp` predicts every option's first token, the others what follows a node."""
    after = [[0, *(1 + trie[option[:depth]] for depth in range(1, len(option)))] for option in options]
    return [logp[where, list(option)].tolist() for where, option in zip(after, options, strict=True)]


def normalised(found: Likelihoods, normaliser: Normaliser) -> tuple[float, ...]:
    """Scores comparable across records: normalised, then a log-softmax over the record's options.

    "sum" keeps log p(option | prompt), "token-mean" divides it by the option's tokens, "character" by
    the characters of its text (lm-eval's acc_norm), and "pmi" subtracts log p(option | the same prompt
    without its context). Raises ValueError for "pmi" where that was not measured.
    """
    scores: tuple[float, ...] = getattr(found, MEASURES[normaliser])
    return tuple(torch.log_softmax(torch.tensor(scores, dtype=torch.float64), dim=0).tolist())
