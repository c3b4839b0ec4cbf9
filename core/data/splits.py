"""Split policies: which records are learnt from and which measure the result, by a name that cards keep."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from ..errors import BadInput
from .records import Record

POLICIES = "official, 8:2, paper or paper:SEED"
Assign = Callable[[Record], str]
Policy = Callable[[Callable[[], Iterable[Record]]], Assign]
"""Given a way to read the records once more, says each record's split, "" for one that is left out."""


RESERVED = 0.1
"""The share of the training groups that no skill learns from, so that a router can be adapted on them."""


def policy(name: str, sizes: tuple[int, int, int] | None = None, reserve: float = 0.0) -> Policy:
    """The split policy of that name.

    "official" keeps the data set's own splits and divides the others 80/10/10 by a hash of the
    group; "8:2" divides them into train and test, as SA-MDKIF (4.2.1); "paper" ignores them and draws STAF-LLM's
    numbers of training, adaptation ("adapt") and test records, `sizes`, whole groups at a time, in an
    order given by the seed after a colon. Of a smaller data set it draws the same shares; where the
    papers give no sizes it is "8:2". The first two move a share `reserve` of the training groups, told by a
    hash, to "adapt".

    Raises BadInput for a name it does not know.
    """
    if name == "official":
        return _reserving(lambda record: record.split or hashed_split(record.group), reserve)
    kind, _, seed = name.partition(":")
    if name != "8:2" and (kind != "paper" or not (seed or "0").isdecimal()):
        raise BadInput(f"The split policy cannot be '{name}': choose from {POLICIES}.")
    if name == "8:2" or sizes is None:
        return _reserving(lambda record: record.split or hashed_split(record.group, EIGHT_TWO), reserve)
    return lambda read: _drawn(((record.group for record in read())), sizes, seed or "0")


def hashed_split(group: str, shares: Iterable[tuple[str, float]] | None = None) -> str:
    """The split of a group without an official one: a function of its name alone."""
    position = _position(group)
    for name, share in shares or SHARES:
        if position < share:
            return name
        position -= share
    return name


SHARES = (("train", 0.8), ("dev", 0.1), ("test", 0.1))
EIGHT_TWO = (("train", 0.8), ("test", 0.2))


def _reserving(assign: Assign, share: float) -> Policy:
    def reserved(record: Record) -> str:
        split = assign(record)
        return "adapt" if split == "train" and _position(f"adapt:{record.group}") < share else split

    return lambda _read: reserved


def _drawn(groups: Iterator[str], sizes: tuple[int, int, int], seed: str) -> Assign:
    """Whole groups in hashed order, each into the first of test, adapt and train that still has room for it."""
    counts = Counter(_hash(f"{seed}:{group}") for group in groups)
    share = min(1.0, counts.total() / sum(sizes))
    room = {name: round(size * share) for name, size in zip(("train", "adapt", "test"), sizes, strict=True)}
    split: dict[bytes, str] = {}
    for key in sorted(counts):
        for name in ("test", "adapt", "train"):
            if counts[key] <= room[name]:
                room[name] -= counts[key]
                split[key] = name
                break
    return lambda record: split.get(_hash(f"{seed}:{record.group}"), "")


def _position(text: str) -> float:
    """Where a text falls in [0, 1)."""
    return int.from_bytes(_hash(text)) / 2**64


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8]
