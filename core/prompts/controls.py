"""Control tokens are the template's alone: their names in the text of a record are text."""

from __future__ import annotations

import re
from typing import Any

FIRST, MOST = 0xF0000, 0xFFFD  # a plane of Unicode in which no character has a meaning, and how many it has
UNKNOWN = "\ufffd"


class Controls:
    """The names of a tokenizer's control tokens, such as `<|im_end|>`.

    A tokenizer reads them in any text, so that a record could end its turn and begin one of the system. What comes
    from a record is therefore marked: a private character stands for each name until the text is tokenized, and then
    the name is tokenized as the characters it is made of. Other texts have the ids they always had.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        added = getattr(tokenizer, "added_tokens_decoder", {}).values()
        names = {token.content for token in added if token.special} | set(tokenizer.all_special_tokens)
        longest_first = sorted(filter(None, names), key=lambda name: (-len(name), name))[:MOST]
        self._mark = {name: chr(FIRST + i) for i, name in enumerate(longest_first)}
        self._name = {mark: name for name, mark in self._mark.items()}
        private = f"[{chr(FIRST)}-{chr(FIRST + MOST)}]"
        self._marks = re.compile(f"({private})")
        self._found = re.compile("|".join([*map(re.escape, self._mark), private]))

    def marked(self, text: str) -> str:
        """A text with a mark for every name; private characters of its own become the one for unknown ones."""
        return self._found.sub(lambda found: self._mark.get(found[0], UNKNOWN), text)

    def ids(self, text: str, add_special_tokens: bool) -> tuple[int, ...]:
        """The ids of a text that may have marks."""
        first, *rest = self._marks.split(text)
        ids = list(self._tokenizer(first, add_special_tokens=add_special_tokens)["input_ids"])
        for part in filter(None, rest):
            name = self._name.get(part)
            as_text = {"add_special_tokens": False, "split_special_tokens": name is not None}
            ids += self._tokenizer(name or part, **as_text)["input_ids"]
        return tuple(ids)
