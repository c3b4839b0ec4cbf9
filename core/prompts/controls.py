"""Control tokens are the template's alone: their names in the text of a record are text."""

from __future__ import annotations

import re
from typing import Any

MARK = "\U000f0000"  # a private character, in which no text has a meaning; one that a text does have is doubled


class Controls:
    """The names of a tokenizer's control tokens, such as `<|im_end|>`.

    A tokenizer reads them in any text, so that a record could end its turn and begin one of the system. What comes
    from a record is therefore marked: two private characters stand for each name until the text is tokenized, and then
    the name is tokenized as the characters it is made of. Other texts have the ids they always had.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        added = getattr(tokenizer, "added_tokens_decoder", {}).values()
        names = {token.content for token in added if token.special} | set(tokenizer.all_special_tokens)
        longest_first = sorted(filter(None, names), key=lambda name: (-len(name), name))
        self._name = {chr(ord(MARK) + i): name for i, name in enumerate(longest_first, 1)}
        self._mark = {MARK: MARK * 2} | {name: MARK + second for second, name in self._name.items()}
        self._found = re.compile("|".join(map(re.escape, self._mark)))

    def marked(self, text: str) -> str:
        """A text with a mark for every name."""
        return self._found.sub(lambda found: self._mark[found[0]], text)

    def ids(self, text: str, add_special_tokens: bool) -> tuple[int, ...]:
        """The ids of a text that may have marks."""
        first, *rest = re.split(f"{MARK}(.)", text)
        ids = list(self._tokenizer(first, add_special_tokens=add_special_tokens)["input_ids"])
        for second, after in zip(rest[::2], rest[1::2], strict=True):
            name = self._name.get(second, MARK)
            ids += self._tokenizer(name, add_special_tokens=False, split_special_tokens=True)["input_ids"]
            ids += self._tokenizer(after, add_special_tokens=False)["input_ids"] if after else []
        return tuple(ids)
