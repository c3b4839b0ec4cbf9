"""Logits where they are needed and nowhere else: the output layer is the widest product of a small model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

from ..models.attention import differentiable

Measure = Callable[[torch.Tensor, slice], torch.Tensor]
ELEMENTS = 1 << 23  # logits held at once: 32 MiB in float32


def measured(
    model: Any, inputs: Mapping[str, torch.Tensor], rows: torch.Tensor, columns: torch.Tensor, measure: Measure
) -> torch.Tensor:
    """`measure` of the logits at the n places (rows, columns), int64 (n,), of a causal language model's `inputs`.

    `measure` gets float32 logits (m, vocabulary) of m of the places, and which they are; what it gives is
    concatenated. It is called for at most `ELEMENTS` logits at once, and again in the backward pass, so
    that memory does not grow with the places. The output layer never sees another position.
    """
    places = len(rows)
    output = _decoded(model, inputs)
    if output is None:
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


def _decoded(model: Any, inputs: Mapping[str, torch.Tensor]) -> Any:
    """What the decoder gives, or None where the model's own forward would not ask it."""
    decoder = model.get_decoder()
    if decoder is model or not _asks(model, decoder):
        return None
    length = inputs["input_ids"].shape[1]
    with differentiable(model, length) if torch.is_grad_enabled() else nullcontext():
        return decoder(**inputs, use_cache=False)


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
