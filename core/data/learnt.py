"""What something learnt from, as keyed hashes: enough to tell a record that is met again, and no text."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..errors import BadInput
from .records import Record

Overlap = Literal["refuse", "leave-out", "keep"]
SIZE = 8


@dataclass(frozen=True)
class Learnt:
    """Hashes of the ids and of the texts of records, under a key of their own.

    The text of a record is its query with its context, whatever their case and spaces. Who holds a text can
    tell whether it was among them; nothing else can be told.
    """

    key: str
    ids: frozenset[str]
    texts: frozenset[str]

    @classmethod
    def of(cls, records: Iterable[Record], key: str) -> Learnt:
        """The hashes of these records under a key."""
        own = list(records)
        return cls(key, frozenset(_hash(r.id, key) for r in own), frozenset(_hash(_text(r), key) for r in own))

    @classmethod
    def read(cls, value: Any) -> Learnt:
        """What `as_json` gave. Raises BadInput for anything else."""
        try:
            return cls(str(value["key"]), _cut(value["ids"]), _cut(value["texts"]))
        except (TypeError, KeyError):
            raise BadInput("The hashes of what was learnt from are damaged: make it again.") from None

    def as_json(self) -> dict[str, str]:
        """The key, and the hashes in an order that says nothing."""
        return {"key": self.key, "ids": "".join(sorted(self.ids)), "texts": "".join(sorted(self.texts))}

    def has(self, record: Record) -> bool:
        """Whether a record of the same id or the same text was learnt from."""
        return _hash(record.id, self.key) in self.ids or _hash(_text(record), self.key) in self.texts


def unseen(
    records: Sequence[Record],
    what: str,
    learnt: Mapping[str, Learnt],
    overlap: Overlap,
    left_out: Callable[[str, int], None],
) -> list[Record]:
    """The records that nobody learnt from, or all of them if `overlap` is "keep".

    `learnt` is by who learnt, in words. Raises BadInput, with how many there are of each, if `overlap` is "refuse".
    """
    seen = {who: [record for record in records if own.has(record)] for who, own in learnt.items()}
    found = {record.id for own in seen.values() for record in own}
    if not found:
        return list(records)
    if overlap == "refuse":
        who, own = max(seen.items(), key=lambda each: len(each[1]))
        raise BadInput(
            f"{len(own)} of {len(records)} {what} are records that {who} learnt from: leave them out with "
            "--overlap leave-out, name another split or other skills, or train again on other records."
        )
    left_out(f"{'kept, though ' if overlap == 'keep' else ''}learnt from before", len(found))
    return list(records) if overlap == "keep" else [record for record in records if record.id not in found]


def _text(record: Record) -> str:
    return " ".join(f"{record.query} {record.context}".casefold().split())


def _hash(text: str, key: str) -> str:
    return hashlib.blake2b(
        text.encode("utf-8", "surrogatepass"), digest_size=SIZE, key=key.encode()[: hashlib.blake2b.MAX_KEY_SIZE]
    ).hexdigest()


def _cut(joined: str) -> frozenset[str]:
    return frozenset(joined[i : i + 2 * SIZE] for i in range(0, len(joined), 2 * SIZE))
