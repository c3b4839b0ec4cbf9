"""Log-likelihood of listed labels, the context read once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice

import torch

from ..contract.declarations import Normaliser
from ..models.base import Base
from ..prompts.batching import budgeted, collate
from ..prompts.encoding import Encoded
from .likelihood import answer_entropies
from .predictions import Likelihoods
from .projection import measured

Tokens = tuple[int, ...]
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


@torch.no_grad()
def token_scores(base: Base, rows: Sequence[Encoded], tokens: int = 4096) -> list[list[list[float]]]:
    """log p of every token of every option of every row, given the prompt and the tokens before it.

    A prompt and all its options go through one forward: the options are a trie whose nodes stand after
    the prompt, each sees the prompt and the nodes it continues (a tree mask), and positions continue
    from the prompt. What options begin with in common is computed once, and an option's last token is
    never an input, so one-token labels cost nothing beyond the prompt.
    """
    longest = max((len(row.prompt) + len(option) for row in rows for option in row.options), default=0)
    if longest > (getattr(base.model.config.get_text_config(), "sliding_window", None) or longest):
        return _one_by_one(base, rows, tokens)  # a window counts the columns of a mask, where a trie has no order
    tries = [_trie(row.options) for row in rows]
    lengths = [len(row.prompt) + len(trie) for row, trie in zip(rows, tries, strict=True)]
    scores: list[list[list[float]]] = [[] for _ in rows]
    for indices in budgeted(lengths, tokens):
        for i, found in zip(indices, _score(base, [(rows[i], tries[i]) for i in indices]), strict=True):
            scores[i] = found
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
    inputs = {"input_ids": ids, "attention_mask": mask[:, None], "position_ids": positions}
    found = _log_probabilities(base, {name: value.to(device) for name, value in inputs.items()}, rows)
    return [
        [
            [found[place, token] for place, token in zip(_places(i, option, trie), option, strict=True)]
            for option in row.options
        ]
        for i, (row, trie) in enumerate(rows)
    ]


def _places(row: int, option: Tokens, trie: dict[Tokens, int]) -> list[Place]:
    """What predicts each token of an option: the prompt's end, 0, and then the node the token follows."""
    return [(row, 0), *((row, 1 + trie[option[:depth]]) for depth in range(1, len(option)))]


def _log_probabilities(
    base: Base, inputs: dict[str, torch.Tensor], rows: Sequence[tuple[Encoded, dict[Tokens, int]]]
) -> dict[tuple[Place, int], float]:
    """log p of every token that any option asks for, after every place that is asked for one."""
    asked = sorted(
        {
            (place, token)
            for i, (row, trie) in enumerate(rows)
            for option in row.options
            for place, token in zip(_places(i, option, trie), option, strict=True)
        }
    )
    places = {place: n for n, place in enumerate(dict.fromkeys(place for place, _ in asked))}
    length, device = inputs["input_ids"].shape[1], base.model.device
    columns = torch.tensor(
        [length - 1 - len(rows[row][1]) + after for row, after in places], dtype=torch.long, device=device
    )
    at = torch.tensor([places[place] for place, _ in asked], dtype=torch.long, device=device)
    tokens = torch.tensor([token for _, token in asked], dtype=torch.long, device=device)

    def logp(logits: torch.Tensor, chunk: slice) -> torch.Tensor:
        own = (at >= chunk.start) & (at < chunk.stop)
        return torch.log_softmax(logits, dim=-1)[at[own] - chunk.start, tokens[own]]

    of = torch.tensor([row for row, _ in places], dtype=torch.long, device=device)
    return dict(zip(asked, measured(base.model, inputs, of, columns, logp).tolist(), strict=True))


def normalised(found: Likelihoods, normaliser: Normaliser) -> tuple[float, ...]:
    """Scores comparable across records: normalised, then a log-softmax over the record's options.

    "sum" keeps log p(option | prompt), "token-mean" divides it by the option's tokens, "character" by
    the characters of its text (lm-eval's acc_norm), and "pmi" subtracts log p(option | the same prompt
    without its context). Raises ValueError for "pmi" where that was not measured.
    """
    scores: tuple[float, ...] = getattr(found, MEASURES[normaliser])
    return tuple(torch.log_softmax(torch.tensor(scores, dtype=torch.float64), dim=0).tolist())
