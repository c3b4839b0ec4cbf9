"""Logits where they are needed and nowhere else: the output layer is the widest product of a small model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

from ..models.attention import differentiable
from ..models.virtual import virtual_tokens

Inputs = Mapping[str, torch.Tensor]
Measure = Callable[[torch.Tensor, slice], torch.Tensor]
ELEMENTS = 1 << 23  # logits held at once: 32 MiB in float32


def measured(
    model: Any,
    inputs: Inputs,
    rows: torch.Tensor,
    columns: torch.Tensor,
    measure: Measure,
    prefix: torch.Tensor | None = None,
) -> torch.Tensor:
    """`measure` of the logits at the n places (rows, columns), int64 (n,), of a causal language model's `inputs`.

    `measure` gets float32 logits (m, vocabulary) of m of the places, and which they are; what it gives is
    concatenated. It is called for at most `ELEMENTS` logits at once, and again in the backward pass, so
    that memory does not grow with the places. The output layer never sees another position. The ids `prefix`, int64
    (shared,), come before every row of the `inputs`, and are computed once where the model's cache allows it.
    """
    places = len(rows)
    output, before = _decoded(model, inputs, prefix)
    columns = columns + before
    if output is None:
        inputs = _whole(inputs, prefix)
        return measure(model(**inputs, use_cache=False).logits[rows, columns].float(), slice(0, places))
    hidden = output.last_hidden_state
    states = hidden.flatten(0, 1).index_select(0, rows * hidden.shape[1] + columns)
    size = max(1, ELEMENTS // model.config.get_text_config().vocab_size)
    chunks = [slice(start, min(start + size, places)) for start in range(0, places, size)]

    def project(part: torch.Tensor, chunk: slice) -> torch.Tensor:
        return measure(_logits(model, output, part).float(), chunk)

    if len(chunks) < 2 or not torch.is_grad_enabled():
        return torch.cat([project(states[chunk], chunk) for chunk in chunks or [slice(0, 0)]])
    again: Any = checkpoint
    return torch.cat([again(project, states[chunk], chunk, use_reentrant=False) for chunk in chunks])


def _decoded(model: Any, inputs: Inputs, prefix: torch.Tensor | None) -> tuple[Any, int]:
    """What the decoder gives, and how many columns of it come before the inputs' own.

    It gives None where the model's own forward would not ask it.
    """
    decoder, before = model.get_decoder(), 0 if prefix is None else len(prefix)
    if decoder is model or not _asks(model, decoder):
        return None, before
    count, length = inputs["input_ids"].shape
    with differentiable(model, before + length) if torch.is_grad_enabled() else nullcontext():
        if virtual := virtual_tokens(model):
            return virtual.read(decoder, _whole(inputs, prefix)), before
        cache = None if prefix is None else _remembered(decoder, prefix, before + length)
        if cache is None:
            return decoder(**_whole(inputs, prefix), use_cache=False), before
        cache.batch_repeat_interleave(count)
        mask = inputs["attention_mask"]
        seen = {"attention_mask": torch.cat([mask.new_ones(count, before), mask], 1)}
        return decoder(**{**inputs, **seen}, past_key_values=cache, use_cache=True), 0


def _remembered(decoder: Any, prefix: torch.Tensor, length: int) -> Any:
    """The decoder's cache after the prefix, or None where that is not the keys and values of rows of that length."""
    from transformers.cache_utils import DynamicLayer

    cache: Any = getattr(decoder(input_ids=prefix[None], use_cache=True), "past_key_values", None)
    layers = getattr(cache, "layers", [None])
    whole = all(isinstance(each, DynamicLayer) and getattr(each, "sliding_window", length) >= length for each in layers)
    return cache if whole and cache.get_seq_length() == len(prefix) else None


def _whole(inputs: Inputs, prefix: torch.Tensor | None) -> Inputs:
    """The inputs with the prefix before every row."""
    if prefix is None:
        return inputs
    count, place = len(inputs["input_ids"]), torch.arange(len(prefix), device=prefix.device)
    before = {"input_ids": prefix, "attention_mask": torch.ones_like(prefix), "position_ids": place}
    whole = {name: torch.cat([each.expand(count, -1), inputs[name]], 1) for name, each in before.items()}
    order = whole["attention_mask"].sort(stable=True).indices  # padding first, which a sliding window counts
    return {name: each.gather(1, order) for name, each in whole.items()}


def _logits(model: Any, output: Any, states: torch.Tensor) -> torch.Tensor:
    """The model's own way from hidden states (n, hidden) to logits (n, vocabulary), with any cap or scale it has."""
    output.last_hidden_state = states[None]
    with _answering(model.get_decoder(), lambda *_, **__: output):
        found: torch.Tensor = model(input_ids=_ids(model, len(states)), use_cache=False).logits[0]
    return found


class _Asked(Exception):
    """The model's forward has come to its decoder."""


def _asks(model: Any, decoder: Any) -> bool:
    def tell(*_: Any, **__: Any) -> None:
        raise _Asked

    with _answering(decoder, tell):
        try:
            model(input_ids=_ids(model, 1), use_cache=False)
        except _Asked:
            return True
    return False


def _ids(model: Any, count: int) -> torch.Tensor:
    """Tokens that stand for so many hidden states; they are never looked up."""
    return torch.zeros(1, count, dtype=torch.long, device=model.device)


@contextmanager
def _answering(decoder: Any, answer: Callable[..., Any]) -> Iterator[None]:
    """Within the block the decoder computes nothing and gives this answer."""
    before = decoder.__dict__.get("forward")
    decoder.forward = answer
    try:
        yield
    finally:
        if before is None:
            del decoder.forward
        else:
            decoder.forward = before
