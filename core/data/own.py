"""Records of one's own, without a plugin: a table of questions and answers, or what `convert` wrote."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from ..contract.declarations import Dataset, Evaluator, PromptedSpec, Task
from ..contract.declarations import Source as Read
from ..contract.discovery import Plugins
from ..errors import BadInput
from .conversion import ConversionReport
from .labels import format_choices
from .record_files import read_records, text_lines
from .records import SPLITS, Record

NAME = "records"
"""What stands for the file of one's own where data sets are named."""

REQUIRED, OPTIONAL = ("question", "answer"), ("options", "context", "id", "group", "split")
LISTS = ("answer", "options")
SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
P = TypeVar("P", bound=PromptedSpec)
Row = tuple[int, Mapping[str, Any]]

DATASET = Dataset(
    name=NAME,
    title="Your own questions and answers",
    target=f"{__name__}:convert_own",
    licence="your own",
    access="your own",
    homepage="docs/howto/data.md",
)


def convert_own(source: Path, report: ConversionReport) -> Iterator[Record]:
    """The records of a .csv, .tsv or .jsonl of questions and answers, or those of a file that `convert` wrote.

    Raises BadInput for another suffix, a file that cannot be read, and for one without rows.
    """
    yield from own_records(source, report, REQUIRED)


def own_records(source: Path, report: ConversionReport, required: tuple[str, ...] = ("question",)) -> Iterator[Record]:
    """The same, of rows that need no other fields than those."""
    if source.suffix not in SUFFIXES:
        raise BadInput(f"{source} is no file of records: give one that ends in {', '.join(SUFFIXES)}.")
    if source.suffix == ".parquet" or _is_converted(source):
        yield from read_records(source, report)
        return
    for number, row in _rows(source, report):
        lacking = [name for name in required if not str(row.get(name) or "").strip()]
        if lacking:
            report.malformed(source, number, f"lacks the field {' and '.join(lacking)}")
            continue
        record = _record(source, number, row, report)
        if record is not None:
            yield record


def own_spec(cls: type[P], plugins: Plugins, name: str, source: Path) -> P:
    """A skill or task for a file of one's own, whose work follows from its records.

    Raises BadInput for a name it cannot have, a file without a record, and if no evaluator is installed for it.
    """
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
        raise BadInput(f"The {cls.kind} of {source} cannot be named '{name}': use lower-case letters, digits, hyphens.")
    records = list(own_records(source, ConversionReport(skip_bad=True), REQUIRED))
    if not records:
        raise BadInput(f"There is no record in {source}: give rows with {', '.join(REQUIRED)} and, if need be, "
                       f"{', '.join(OPTIONAL)}.")  # fmt: skip
    listed = all(record.options for record in records)
    facts: dict[str, Any] = {
        "name": name,
        "title": f"The records of {source.name}",
        "category": "text-classification" if listed else "question-answering",
        "sources": (Read(dataset=NAME),),
        "template": "instruction.jinja",
        "package": "",
        "multi_label": listed and any(len(record.labels) != 1 for record in records),
    }
    if issubclass(cls, Task):
        evaluator = _evaluator(plugins, "options" if listed else "text")
        facts |= {"track": "unseen task", "evaluator": evaluator.name, "metric": next(iter(evaluator.metrics))}
    return cls(**facts)


def _evaluator(plugins: Plugins, judges: str) -> Evaluator:
    for evaluator, _ in plugins.all(Evaluator):
        if evaluator.judges == judges:
            return evaluator
    raise BadInput(f"No evaluator of {judges} is installed: 'mdkif list evaluators --available' names them.")


def _record(source: Path, number: int, row: Mapping[str, Any], report: ConversionReport) -> Record | None:
    """The record of a row; None for one that was told as malformed."""
    options, answers = _several(row.get("options")), _several(row.get("answer"))
    split = str(row.get("split") or "").strip()
    if split and split not in SPLITS:
        report.malformed(source, number, f"has a split that is none of {', '.join(SPLITS)}")
        return None
    if options and not set(answers) <= set(options):
        report.malformed(source, number, "has an answer that is not among its options")
        return None
    question = str(row["question"]).strip()
    fields: dict[str, Any] = {"query": question, "answer": str(row.get("answer") or "").strip()}
    if options:
        fields = format_choices(question, options, answers)
    place = f"{source.name}:{number}"
    fields |= {name: str(row.get(name) or "").strip() for name in ("context", "group")}
    return Record(id=str(row.get("id") or place).strip(), source=place, split=split, **fields)


def _several(value: Any) -> tuple[str, ...]:
    """A list, or a text of several between bars or, without one, semicolons."""
    if not isinstance(value, (list, tuple)):
        text = str(value or "")
        value = text.split("|" if "|" in text else ";")
    return tuple(dict.fromkeys(str(each).strip() for each in value if str(each).strip()))


def _rows(source: Path, report: ConversionReport) -> Iterator[Row]:
    with text_lines(source, report, newline="") as lines:
        if source.suffix == ".jsonl":
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield from _parsed(source, number, line, report)
            return
        reader = csv.DictReader(lines, delimiter="\t" if source.suffix == ".tsv" else ",")
        named = [str(name or "").strip().lower() for name in reader.fieldnames or ()]
        if "question" not in named:
            raise BadInput(f"{source}:1 has no column 'question': name the columns {', '.join(REQUIRED + OPTIONAL)}.")
        reader.fieldnames = named
        for row in reader:
            yield reader.line_num, row


def _parsed(source: Path, number: int, line: str, report: ConversionReport) -> Iterator[Row]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict):
        report.malformed(source, number, "is no JSON object")
    elif nested := [name for name in REQUIRED + OPTIONAL if not _is_plain(row.get(name), name in LISTS)]:
        report.malformed(source, number, f"has something else than a text in the field {nested[0]}")
    else:
        yield number, row


def _is_plain(value: Any, several: bool) -> bool:
    if isinstance(value, list) and several:
        return all(isinstance(each, (str, int, float)) for each in value)
    return value is None or isinstance(value, (str, int, float))


def _is_converted(source: Path) -> bool:
    """Whether a file of JSON lines has records as `convert` writes them."""
    if source.suffix != ".jsonl":
        return False
    try:
        with text_lines(source, ConversionReport()) as lines:
            first = json.loads(next((line for line in lines if line.strip()), "null"))
    except (OSError, ValueError, RecursionError, BadInput):
        return False
    return isinstance(first, dict) and "query" in first and "question" not in first
