"""The papers' way to answer a closed query: labels are extracted from it, decoded along the trie of those it lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..data.labels import NONE
from ..prompts.encoding import Encoded, Encoder
from .scoring import token_scores


def extract(encoder: Encoder, rows: Sequence[Encoded], multi_label: bool = False) -> list[tuple[str, ...]]:
    """The labels a greedy decoder writes for each row if it may write nothing but listed labels.

    With `multi_label` it goes on, as in "first; second", until it rather ends the answer; otherwise it
    writes one. Every step is greedy over tokens (SA-MDKIF 3.2.2 extracts start and end positions in the
    query; here the same spans are copied out of it). The order is that of the decoder.
    """
    writers = [_Writer(encoder, row, multi_label) for row in rows]
    while open_writers := [writer for writer in writers if writer.going_on]:
        steps = [writer.step() for writer in open_writers]
        for writer, step, logp in zip(open_writers, steps, token_scores(encoder.base, steps), strict=True):
            writer.write(greedy(step.options, logp))
    return [tuple(writer.found) for writer in writers]


def greedy(options: Sequence[tuple[int, ...]], logp: Sequence[Sequence[float]]) -> int:
    """The option a greedy decoder reaches that may follow no token but those of an option.

    `logp` holds the log-probability of each option's tokens. Where one option begins another, the
    shorter one wins, as nothing says that it ends: give both an end mark to have the model decide.
    """
    left, depth = list(range(len(options))), 0
    while len(left) > 1:
        if done := [i for i in left if len(options[i]) == depth]:
            return done[0]
        token = options[max(left, key=lambda i: logp[i][depth])][depth]
        left = [i for i in left if options[i][depth] == token]
        depth += 1
    return left[0]


class _Writer:
    """One row's answer as it is written: the labels found, and what may follow them."""

    def __init__(self, encoder: Encoder, row: Encoded, multi_label: bool) -> None:
        before, after = encoder.template.answer_affixes(row.record)
        self._row, self._multi_label, self._pieces = row, multi_label, encoder.token_ids
        self._first = dict(zip(row.record.options, row.options, strict=True))
        if multi_label:
            self._first.setdefault(NONE, self._piece(encoder.start() + before + NONE))
        self._end = (self._piece(after) if after else ()) + encoder.end()
        self._choices: list[tuple[str, bool]] = []
        self.found: list[str] = []
        self.going_on = bool(row.options)

    def step(self) -> Encoded:
        """The prompt so far and, as options, every label left, before the answer's end or before another label."""
        left = [label for label in self._row.record.options if label not in self.found]
        pieces = {label: self._piece(f" {label}") for label in left} if self.found else self._first
        may = {(label, False): ids + self._end for label, ids in pieces.items()}
        if self._multi_label and len(left) > 1:
            may |= {(label, True): pieces[label] + self._piece(";") for label in left}
        self._choices = list(may)
        self._row = replace(self._row, options=tuple(may.values()))
        return self._row

    def write(self, best: int) -> None:
        """Take one of the step's options."""
        label, self.going_on = self._choices[best]
        self._row = replace(self._row, prompt=self._row.prompt + self._row.options[best])
        if label in self._row.record.options:
            self.found.append(label)

    def _piece(self, text: str) -> tuple[int, ...]:
        return self._pieces([text])[0]
