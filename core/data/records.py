"""The record: the unified instruction format every data set is converted to (SA-MDKIF section 3.2.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any

SPLITS = ("train", "dev", "test")


@dataclass(frozen=True, kw_only=True)
class Record:
    """One unit of medical work: a query about a context, with its answer.

    `query` is the instruction and, for closed labels, lists every valid label; `options` are those
    labels and `labels` the gold ones (several for multi-label work); without options `labels` are the
    entities of `format_entities`, or every answer that counts as right. `spans` are (start, end)
    character offsets of the answer: in the query for text classification, in the context for
    sequence labelling. `group` is what must not straddle splits (a patient, a note, a premise);
    it defaults to `id`. `source` is the file and line the record can be traced to.

    Raises ValueError if a gold label is not an option or the split has no known name.
    """

    id: str
    query: str
    answer: str
    context: str = ""
    options: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    spans: tuple[tuple[int, int], ...] = ()
    split: str = ""
    group: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        if self.options and not set(self.labels) <= set(self.options):
            raise ValueError(f"record {self.id}: a gold label is not among the options")
        if self.split and self.split not in SPLITS:
            raise ValueError(f"record {self.id}: split '{self.split}' is none of {', '.join(SPLITS)}")
        if not self.group:
            object.__setattr__(self, "group", self.id)

    def to_dict(self) -> dict[str, Any]:
        """The record as plain JSON values."""
        return {**asdict(self), "spans": [list(span) for span in self.spans]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Record:
        """The inverse of `to_dict`. Raises TypeError or ValueError for missing or wrong fields."""
        lists = ("options", "labels", "spans")
        tuples = {key: tuple(values.get(key) or ()) for key in lists[:2]}
        strings = [value for key, value in values.items() if key not in lists]
        if any(isinstance(values.get(key), str) for key in lists) or not all(
            isinstance(value, str) for value in chain(strings, *tuples.values())
        ):
            raise TypeError("a string and a list are taken for each other")
        spans = tuple((int(start), int(end)) for start, end in values.get("spans") or ())
        return cls(**{**values, **tuples, "spans": spans})
