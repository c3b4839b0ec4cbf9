"""Views that ask which of the most frequent labels an admission has: codes or drugs."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence

from mdkif import BadInput, ConversionReport, Record, format_choices, hashed_split

from .edition import Edition, Mark
from .notes import count_parts, whole_notes
from .options import Options


class Labels:
    """The labels of admissions, each once: numbers in arrays, as admissions are many and labels few."""

    def __init__(self, admissions: Container[str], learnt_from: Callable[[Mark], bool]) -> None:
        """Only `admissions` have labels; those that are `learnt_from` decide which labels are frequent."""
        self._admissions = admissions
        self._learnt_from = learnt_from
        self._learnt: set[str] = set()
        self._numbers: dict[str, int] = {}
        self._held: dict[str, array[int]] = {}
        self._frequency: Counter[str] = Counter()

    def add(self, mark: Mark) -> None:
        """Note a label of an admission; a second time it does not count."""
        if mark.admission not in self._admissions:
            return
        held = self._held.get(mark.admission)
        if held is None:
            held = self._held[mark.admission] = array("I")
            if self._learnt_from(mark):
                self._learnt.add(mark.admission)
        number = self._numbers.setdefault(mark.name, len(self._numbers))
        if number not in held:
            held.append(number)
            self._frequency[mark.name] += mark.admission in self._learnt

    def most_frequent(self, top: int) -> list[str]:
        """The `top` labels with most admissions learnt from, ties in the order of their names; all for 0."""
        known = [label for label, count in self._frequency.items() if count or not top]
        return sorted(known, key=lambda label: (-self._frequency[label], label))[: top or None]

    def of(self, admission: str, labels: Sequence[str]) -> list[str]:
        """Those of the labels that the admission has."""
        held = set(self._held.get(admission, ()))
        return [label for label in labels if self._numbers[label] in held]


def label_records(
    edition: Edition,
    conversion: ConversionReport,
    options: Options,
    *,
    view: str,
    request: str,
    read: Callable[[], Iterable[Mark]],
    titles: Mapping[str, str],
    splits: Mapping[str, str] | None = None,
    cut: Callable[[str], str] = str,
    what: str,
) -> Iterator[Record]:
    """One record per admission with a discharge summary; the group is the patient.

    Labels are chosen among training admissions only, so that the choice sees no test data: those of
    `splits` if given, else those of the patients that are hashed into the training split. `cut` shortens a note to
    what a record may show.
    """
    counts = count_parts(edition, conversion)

    def learnt_from(mark: Mark) -> bool:
        return (hashed_split(mark.patient) if splits is None else splits[mark.admission]) == "train"

    labels = Labels(counts if splits is None else counts.keys() & splits.keys(), learnt_from)
    for mark in read():
        labels.add(mark)
    ranked = labels.most_frequent(options.top)
    if not ranked:
        raise BadInput(
            f"No training patient in {edition.tables} has a {what} and a discharge summary: give the complete tables."
        )
    names = _distinct(ranked, titles)
    for note in whole_notes(edition, counts, conversion):
        if splits is not None and note.admission not in splits:
            conversion.leave_out("admission outside the split")
            continue
        gold = [names[label] for label in labels.of(note.admission, ranked)]
        if not gold and not options.keep_empty:
            conversion.leave_out(f"admission with none of the {len(ranked)} labels")
        elif not (text := options.context(edition, cut(note.text))):
            conversion.leave_out("note without the wanted sections")
        else:
            yield Record(
                id=f"{edition.name}/{view}/{note.admission}",
                context=text,
                split=splits[note.admission] if splits is not None else "",
                group=note.patient,
                source=note.source,
                **format_choices(request, tuple(names.values()), gold),
            )


def _distinct(labels: Sequence[str], titles: Mapping[str, str]) -> dict[str, str]:
    """A distinct name for each label: its title, with the label where two share one, else the label."""
    shared = Counter(titles.get(label, label) for label in labels)
    named = {label: titles.get(label, label) for label in labels}
    return {label: f"{title} ({label})" if shared[title] > 1 else title for label, title in named.items()}
