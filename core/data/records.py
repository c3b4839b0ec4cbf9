"""The record: the unified instruction format every data set is converted to (SA-MDKIF section 3.2.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any

from ..errors import BadInput

SPLITS = ("train", "dev", "adapt", "test")
TEXTS = ("id", "query", "answer", "context", "split", "group", "source")


class RecordError(BadInput, ValueError):
    """A record that is none: a field of another type, a label that is no option, a split without a known name."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """One unit of medical work: a query about a context, with its answer.

    `query` is the instruction and, for closed labels, lists every valid label; `options` are those
    labels and `labels` the gold ones (several for multi-label work); without options `labels` are the
    entities of `format_entities`, or every answer that counts as right. `spans` are (start, end)
    character offsets of the answer: in the query for text classification, in the context for
    sequence labelling. `group` is what must not straddle splits (a patient, a note, a premise);
    it defaults to `id`. `source` is the file and line the record can be traced to.

    Raises RecordError, a ValueError, if a field is no text or no tuple of texts, a gold label is not an
    option, a span is no pair of offsets, or the split has no known name. It never quotes but the id.
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
        for name in TEXTS:
            if not isinstance(value := getattr(self, name), str):
                whose = "a record" if name == "id" else f"record {self.id}"
                raise RecordError(
                    f"The {name} of {whose} is no text but of the type {type(value).__name__}: give a text."
                )
        for name in ("options", "labels"):
            value = getattr(self, name)
            if not isinstance(value, tuple) or not all(isinstance(each, str) for each in value):
                raise RecordError(f"record {self.id}: its {name} are no tuple of texts: write {name}=(…, …).")
        if not isinstance(self.spans, tuple) or not all(map(_is_span, self.spans)):
            raise RecordError(f"record {self.id}: its spans are no tuple of offsets: write spans=((start, end), …).")
        if self.options and not set(self.labels) <= set(self.options):
            raise RecordError(f"record {self.id}: a gold label is not among the options: list every valid label.")
        if self.split and self.split not in SPLITS:
            raise RecordError(f"record {self.id}: its split is none of {', '.join(SPLITS)}: use these names.")
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


def _is_span(span: object) -> bool:
    return isinstance(span, tuple) and len(span) == 2 and all(isinstance(offset, int) for offset in span)
