"""Greedy decoding of many prompts at once: a text that ends leaves its place, and the next prompt takes it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import Cache

from ..models.base import Base
from ..models.virtual import virtual_tokens

HARMLESS = {
    "_from_model_config", "transformers_version", "bos_token_id", "eos_token_id", "pad_token_id", "use_cache",
    "do_sample", "temperature", "top_k", "top_p", "max_length", "max_new_tokens", "output_attentions",
    "output_hidden_states", "return_dict_in_generate", "cache_implementation",
}  # fmt: skip
"""What a model's generation settings may say without a change to its greedy text."""


def decodes_plainly(base: Base) -> bool:
    """Whether its greedy text is the likeliest token at each step, attended by keys and values of every token before.

    Otherwise, with a sliding window, a recurrent state, a learnt prompt or a penalty of its own, transformers has to
    generate.
    """
    config, generation = base.model.config.get_text_config(), base.model.generation_config
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    if virtual_tokens(base.model):
        return False
    whole = kinds == {"full_attention"} and not getattr(config, "sliding_window", None)
    plain = generation is not None and set(generation.to_diff_dict()) <= HARMLESS
    return whole and plain and config._attn_implementation == "sdpa" and base.model.get_decoder() is not base.model


@torch.no_grad()
def continuations(
    base: Base,
    prompts: Sequence[Sequence[int]],
    new: int,
    tokens: int = 4096,
    ended: Callable[[Sequence[int]], bool] = lambda _: False,
) -> list[tuple[int, ...]]:
    """The greedy continuation of every prompt, without the token that ended it, at most `new` tokens.

    A text also ends when it is `ended`, of which it is asked after each token. Places for as many prompts as `tokens`
    of the longest allow are decoded together, the longest prompts first.
    """
    order = sorted(range(len(prompts)), key=lambda i: (-len(prompts[i]), i))
    waiting = deque(_Text(i, prompts[i]) for i in order)
    longest = max(map(len, prompts), default=0) + new
    places = _Places(base.model, min(len(prompts), max(1, tokens // max(1, longest))), longest)
    ends, found = _ends(base), dict[int, tuple[int, ...]]()
    active: list[_Text] = []
    while waiting or active:
        entering = [waiting.popleft() for _ in range(min(len(waiting), places.count - len(active)))]
        chosen = places.advance([text.tokens[-1] for text in active]) if active else []
        chosen += places.enter([text.prompt for text in entering], len(active)) if entering else []
        active += entering
        for text, token in zip(active, chosen, strict=True):
            text.tokens.append(token)
        for place in reversed(range(len(active))):
            text = active[place]
            if text.tokens[-1] in ends or len(text.tokens) == new or ended(text.tokens):
                found[text.index] = tuple(token for token in text.tokens if token not in ends)
                places.leave(place, len(active) - 1)
                active[place] = active[-1]
                active.pop()
    return [found[i] for i in range(len(prompts))]


@dataclass
class _Text:
    index: int
    prompt: Sequence[int]
    tokens: list[int] = field(default_factory=list)


class _Places(Cache):
    """Keys and values of texts of different lengths: each row of a batch is written at an end of its own.

    The rows in use are the first; of them, those beyond a row's length are masked. Nothing is copied as they grow.
    """

    def __init__(self, model: Any, count: int, columns: int) -> None:
        super().__init__(layers=[])
        self.count, self._columns = count, columns
        self._model, self._head = model, model.get_output_embeddings()
        self._lengths = torch.zeros(count, dtype=torch.long, device=model.device)
        self._each = torch.arange(count, device=model.device)
        self._kept: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._used = self._seen = 0

    def enter(self, prompts: Sequence[Sequence[int]], first: int) -> list[int]:
        """Read prompts into the places from `first` on; the likeliest token after each."""
        lengths = [len(prompt) for prompt in prompts]
        ids = torch.zeros(len(prompts), max(lengths), dtype=torch.long)
        for row, prompt in zip(ids, prompts, strict=True):
            row[: len(prompt)] = torch.tensor(prompt)  # what is behind a prompt is seen by nothing of it
        read: Any = DynamicCache(config=self._model.config)
        hidden = self._decoded(ids.to(self._model.device), past_key_values=read)
        for layer, place in zip(read.layers, self._room(read), strict=True):
            for kept, given in zip(place, (layer.keys, layer.values), strict=True):
                kept[first : first + len(prompts), :, : ids.shape[1]] = given
        ends = torch.tensor(lengths, device=hidden.device)
        self._lengths[first : first + len(prompts)] = ends
        return self._likeliest(hidden[self._each[: len(prompts)], ends - 1])

    def advance(self, last: Sequence[int]) -> list[int]:
        """Read the last token of each text in the first places; the likeliest token after each."""
        self._used = len(last)
        lengths = self._lengths[: self._used]
        self._seen = int(lengths.max()) + 1
        columns = torch.arange(self._seen, device=lengths.device)
        mask = (columns <= lengths[:, None])[:, None, None]
        ids = torch.tensor(last, device=lengths.device)[:, None]
        hidden = self._decoded(ids, past_key_values=self, position_ids=lengths[:, None], attention_mask=mask)
        self._lengths[: self._used] += 1
        return self._likeliest(hidden[:, -1])

    def leave(self, place: int, last: int) -> None:
        """Free a place, by the text in the `last` one that is used."""
        if place != last:
            self._lengths[place] = self._lengths[last]
            for layer in self._kept:
                for kept in layer:
                    kept[place] = kept[last]

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *_: Any, **__: Any) -> Any:
        """Note a token's keys and values (rows, heads, 1, width) of one layer; those of all tokens so far."""
        rows, ends = self._each[: self._used], self._lengths[: self._used]
        for kept, given in zip(self._kept[layer_idx], (key_states, value_states), strict=True):
            kept[rows, :, ends] = given[:, :, 0]
        keys, values = (kept[: self._used, :, : self._seen] for kept in self._kept[layer_idx])
        return keys, values

    def _room(self, read: Any) -> list[tuple[torch.Tensor, torch.Tensor]]:
        if not self._kept:
            self._kept = [(self._empty(layer.keys), self._empty(layer.values)) for layer in read.layers]
        return self._kept

    def _empty(self, like: torch.Tensor) -> torch.Tensor:
        return like.new_zeros(self.count, like.shape[1], self._columns, like.shape[3])

    def _decoded(self, ids: torch.Tensor, **inputs: Any) -> torch.Tensor:
        hidden: torch.Tensor = self._model.get_decoder()(input_ids=ids, use_cache=True, **inputs).last_hidden_state
        return hidden

    def _likeliest(self, hidden: torch.Tensor) -> list[int]:
        """By the output layer alone: a cap or a scale after it does not change which is the largest."""
        found: list[int] = self._head(hidden).argmax(-1).tolist()
        return found


def _ends(base: Base) -> frozenset[int]:
    end: int | Iterable[int] | None = base.model.generation_config.eos_token_id
    return frozenset() if end is None else frozenset([end] if isinstance(end, int) else end)
