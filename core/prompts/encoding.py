"""Tokens: prompts and answers under a length limit, with truncation that never cuts an answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from ..contract.declarations import TruncationSide
from ..data.records import Record
from ..errors import BadInput
from ..models.base import Base
from .controls import Controls
from .templates import Instruction, Template

Format = Literal["auto", "chat", "plain"]
SYSTEM = "You are a doctor."
LEFT_OUT = " … "


@dataclass(frozen=True)
class Encoded:
    """A record as token ids: `prompt` and `answer` are disjoint, and concatenated are what is trained on.

    `options` holds the ids of each listed label as it would follow the prompt, without what ends an answer.
    """

    record: Record
    prompt: tuple[int, ...]
    answer: tuple[int, ...]
    options: tuple[tuple[int, ...], ...] = ()

    def __len__(self) -> int:
        return len(self.prompt) + len(self.answer)


@dataclass
class Encoder:
    """Renders and tokenizes records for one base model.

    `format` is the base model's chat template ("chat"), text that ends in "Answer:" ("plain"), or
    whichever the tokenizer has ("auto"). Only contexts are truncated, on the template's
    `truncation_side`; a record whose answer alone leaves no room is left out. Both are counted in `counts`.
    Solved records in `demonstrations` stand before every prompt, as turns of their own in a chat, else as blocks
    with an empty line between them; they are never cut.
    """

    base: Base
    template: Template
    max_length: int = 512
    format: Format = "auto"
    counts: Counter[str] = field(default_factory=Counter)
    demonstrations: tuple[Instruction, ...] = ()

    def encode(self, records: Iterable[Record]) -> Iterator[Encoded]:
        """The records that fit, as token ids. Raises BadInput for a template error."""
        for record in records:
            encoded = self._encode(record)
            if encoded is not None:
                yield encoded

    def encode_all(self, records: Sequence[Record], what: str) -> list[Encoded]:
        """All that fit, at least one. Raises BadInput, naming `what` they are, if there is none."""
        found = list(self.encode(records))
        if not found and records:
            raise BadInput(
                f"None of {len(records)} {what} fits into {self.max_length} tokens with its answer: raise max_length."
            )
        if not found:
            raise BadInput(f"There are no {what}: check the source, its splits and what was left out.")
        return found

    def text(self, instruction: Instruction) -> str:
        """The prompt as the base model reads it, up to where the answer begins.

        Names of control tokens in the instruction are marked, see `Controls`: no record begins a turn of its own.
        """
        prompt = self._controls.marked(instruction.prompt)
        solved = [(self._controls.marked(each.prompt), self._controls.marked(each.answer))
                  for each in self.demonstrations]  # fmt: skip
        if self._chat():
            turns = [("system", SYSTEM), *(turn for asked, answer in solved for turn in
                                           (("user", asked), ("assistant", answer))), ("user", prompt)]  # fmt: skip
            return str(self._chat_text([{"role": role, "content": content} for role, content in turns]))
        return "".join([*(f"{asked}\n\nAnswer: {answer}\n\n" for asked, answer in solved), f"{prompt}\n\nAnswer:"])

    @property
    def prompt_format(self) -> Format:
        """How prompts are written: "chat" or "plain"."""
        return "chat" if self._chat() else "plain"

    def end(self) -> tuple[int, ...]:
        """The ids that end an answer."""
        eos = self.base.tokenizer.eos_token_id
        return (eos,) if isinstance(eos, int) else ()

    def start(self) -> str:
        """What stands between a prompt and its answer: after "Answer:" a space, after a chat prompt nothing."""
        return "" if self._chat() else " "

    def prompt_length(self, instruction: Instruction) -> int:
        """How many tokens the prompt of an instruction has, whatever the limit."""
        return len(self._ids(self.text(instruction)))

    def token_ids(self, texts: Sequence[str]) -> list[tuple[int, ...]]:
        """The ids of each marked text by itself."""
        return [self._controls.ids(text, False) for text in texts]

    def _encode(self, record: Record) -> Encoded | None:
        instruction = self.template.render(record)
        before = self.template.answer_affixes(record)[0] if record.options else ""
        texts = tuple(map(self._controls.marked, (instruction.answer, *(before + each for each in record.options))))
        prompt, (answer, *options) = self._pair(self.text(instruction), texts)
        answer += self.end()
        room = self.max_length - max(map(len, (answer, *options)))
        if len(prompt) > room:
            fitted = self._fit(instruction, room)
            if fitted is None:
                self.counts["left out: no room for the answer"] += 1
                return None
            self.counts["context truncated"] += 1
            prompt, (answer, *options) = self._pair(self.text(fitted), texts)
            answer += self.end()
        self.counts["encoded"] += 1
        return Encoded(record, prompt, answer, tuple(options))

    def _fit(self, instruction: Instruction, room: int) -> Instruction | None:
        """The instruction with its context cut so that the prompt has at most `room` tokens."""
        offsets = self._offsets(instruction.context)
        left = len(offsets)
        while left > 0:
            cut = replace(instruction, context=_cut(instruction.context, offsets, left, self.template.truncation_side))
            excess = len(self._ids(self.text(cut))) - room
            if excess <= 0:
                return cut
            left -= excess
        bare = replace(instruction, context="")
        return bare if len(self._ids(self.text(bare))) <= room else None

    def _pair(self, prompt: str, answers: Sequence[str]) -> tuple[tuple[int, ...], list[tuple[int, ...]]]:
        """The prompt's ids and each answer's as it follows the prompt (lm-eval's convention).

        A chat prompt ends in a control token and a newline, so the two never merge; after "Answer:"
        the answer carries the space, which byte-level and sentence-piece vocabularies attach to it.
        """
        ids, following = self._ids(prompt), [self.start() + answer for answer in answers]
        whole = [self._ids(prompt + answer) for answer in following]
        if any(w[: len(ids)] != ids for w in whole):
            return ids, self.token_ids(following)
        return ids, [w[len(ids) :] for w in whole]

    def _ids(self, text: str) -> tuple[int, ...]:
        ids = self._controls.ids(text, not self._chat())
        eos = self.base.tokenizer.eos_token_id
        return ids[:-1] if not self._chat() and ids and ids[-1] == eos else ids

    def _offsets(self, text: str) -> list[tuple[int, int]]:
        """Where each token of a text starts and ends, in characters."""
        offsets: Any = self.base.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        return list(offsets["offset_mapping"])

    @cached_property
    def _controls(self) -> Controls:
        return Controls(self.base.tokenizer)

    def _chat(self) -> bool:
        available = bool(self.base.tokenizer.chat_template)
        if self.format == "chat" and not available:
            raise BadInput(f"The base model '{self.base.name}' has no chat template: use --format plain.")
        return available and self.format != "plain"

    def _chat_text(self, messages: list[dict[str, str]]) -> Any:
        return self.base.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)


def _cut(text: str, offsets: Sequence[tuple[int, int]], left: int, side: TruncationSide) -> str:
    """The `left` tokens of a text that are at its start, its end or both; a mark stands where its middle was."""
    head = {"right": left, "left": 0, "middle": (left + 1) // 2}[side]
    start = offsets[head - 1][1] if head else 0
    end = max(start, offsets[head - left][0]) if left > head else len(text)
    return LEFT_OUT.join(part for part in (text[:start].rstrip(), text[end:].lstrip()) if part)
