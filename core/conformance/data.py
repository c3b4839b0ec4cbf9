"""Rules for data sets, skills and tasks: converters on a sample, records, templates and their inverses."""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

from ..contract.declarations import Dataset, Evaluator, PromptedSpec, Task
from ..contract.discovery import Plugin
from ..data.conversion import ConversionReport, convert
from ..data.labels import parse_choices, parse_entities
from ..data.records import Record
from ..data.sources import Sources
from ..workspace import Workspace
from .finding import Finding, finding
from .surroundings import offline

MOST = 2000
NO_SAMPLE = "There is no sample of it: give --source {0}=PATH, or ship an invented one in the folder sample/{0}."


def sample(plugin: Plugin, dataset: str, sources: Sources) -> Path | None:
    """The path given for a data set or, in the package of its plugin, the folder `sample/DATASET`."""
    if dataset in sources:
        return sources[dataset]
    spec = find_spec(plugin.module)
    shipped = Path(spec.origin).parent / "sample" / dataset if spec and spec.origin else None
    return shipped if shipped and shipped.exists() else None


def samples(workspace: Workspace, declared: PromptedSpec, sources: Sources) -> dict[str, Path]:
    """The samples there are of the data sets that a skill or task reads."""
    found = {}
    for each, plugin in workspace.plugins.all(Dataset):
        if each.name in declared.reads and (path := sample(plugin, each.name, sources)):
            found[each.name] = path
    return found


def dataset(declared: Dataset, subject: str, path: Path | None) -> Iterator[Finding]:
    """The rules for a data set."""
    yield finding(subject, "says how its data is got", lambda: _access(declared))
    yield finding(subject, "its code loads, and its options are documented", lambda: _options(declared))
    if path is None:
        yield Finding(subject, "converts a sample", "not checked", NO_SAMPLE.format(declared.name))
        return
    converted = finding(subject, "converts a sample", lambda: _converts(declared, path))
    yield converted
    if converted.state == "broken":
        return
    with offline():
        records = list(islice(convert(declared, path, ConversionReport(skip_bad=True)), MOST))
    yield from _records(subject, records)


def instructed(workspace: Workspace, declared: PromptedSpec, subject: str, paths: dict[str, Path]) -> Iterator[Finding]:
    """The rules for a skill or a task."""
    yield finding(subject, "reads data sets that are installed", lambda: _reads(workspace, declared))
    if isinstance(declared, Task):
        yield finding(subject, "its metric is one of its evaluator's", lambda: _metric(workspace, declared))
    if not paths:
        yield Finding(subject, "renders a sample", "not checked", NO_SAMPLE.format(declared.reads[0]))
        return
    for name, path in paths.items():
        records = list(islice(workspace.records(declared, {name: path}, ConversionReport(skip_bad=True)), MOST))
        yield from _records(f"{subject} on {name}", records)
        yield finding(
            f"{subject} on {name}",
            "renders a sample, and reads its answers back",
            lambda made=records: _template(workspace, declared, made),  # type: ignore[misc]
        )


def _access(declared: Dataset) -> Iterator[str]:
    for field in ("licence", "access", "homepage"):
        if not str(getattr(declared, field)).strip():
            yield f"The data set '{declared.name}' has no {field}: state it, 'open' or 'unknown' if so it is."


def _options(declared: Dataset) -> Iterator[str]:
    parameters = inspect.signature(declared.load()).parameters.values()
    known = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
    if missing := known ^ set(declared.options):
        yield f"The option '{min(missing)}' is in the converter or in the declaration's options, not in both."


def _converts(declared: Dataset, path: Path) -> Iterator[str]:
    with offline():
        first, again = (list(islice(convert(declared, path, ConversionReport(skip_bad=True)), MOST)) for _ in range(2))
    if not first:
        yield f"The sample {path} gives no record."
    if first != again:
        yield "Converting the same files twice gives other records: draw nothing at random, or by a fixed seed."


def _records(subject: str, records: Sequence[Record]) -> Iterator[Finding]:
    yield finding(subject, "record ids are unique", lambda: _unique(records))
    yield finding(subject, "records are complete and traceable", lambda: _complete(records))
    yield finding(subject, "spans match their text", lambda: _spans(records))
    yield finding(subject, "no group straddles splits", lambda: _groups(records))


def _unique(records: Iterable[Record]) -> Iterator[str]:
    seen: set[str] = set()
    for record in records:
        if record.id in seen:
            yield f"The id {record.id} comes twice: add what tells the records apart."
        seen.add(record.id)


def _complete(records: Iterable[Record]) -> Iterator[str]:
    for record in records:
        for field in ("query", "answer", "source"):
            if not getattr(record, field).strip():
                yield f"The record {record.id} has an empty {field}: leave such records out, and count them."


def _spans(records: Iterable[Record]) -> Iterator[str]:
    for record in records:
        text = record.query if record.options else record.context
        right = {_plain(label.partition(": ")[2] or label) for label in record.labels}
        right |= {_plain(label) for label in (*record.labels, record.answer)}
        for start, end in record.spans:
            if _plain(text[start:end]) not in right:
                where = "query" if record.options else "context"
                yield f"A span of the record {record.id} is not a label's or answer's text in the {where}."


def _groups(records: Iterable[Record]) -> Iterator[str]:
    splits: dict[str, set[str]] = defaultdict(set)
    for record in records:
        splits[record.group].add(record.split)
        if len(splits[record.group]) > 1:
            yield f"The group of the record {record.id} is in several splits: a test would see what was learnt."


def _reads(workspace: Workspace, declared: PromptedSpec) -> Iterator[str]:
    known = {each.name: each for each, _ in workspace.plugins.all(Dataset)}
    for source in (*declared.sources, *declared.alternatives):
        if source.dataset not in known:
            yield f"It reads '{source.dataset}', which no installed plugin provides: depend on the one that does."
        elif wrong := set(source.options) - set(known[source.dataset].options):
            yield f"It gives '{source.dataset}' the option '{min(wrong)}', which the data set does not have."


def _metric(workspace: Workspace, declared: Task) -> Iterator[str]:
    metrics = workspace.plugins.get(Evaluator, declared.evaluator).metrics
    if declared.metric not in metrics:
        yield f"The evaluator '{declared.evaluator}' has no metric '{declared.metric}': it has {', '.join(metrics)}."


def _template(workspace: Workspace, declared: PromptedSpec, records: Iterable[Record]) -> Iterator[str]:
    template = workspace.template(declared)
    for record in records:
        instruction = template.render(record)
        answer = template.parse_answer(instruction.answer, record)
        if not instruction.query or not instruction.answer:
            yield f"The template '{declared.template}' renders an empty query or answer for the record {record.id}."
        if answer != record.answer.strip():
            yield f"The template '{declared.template}' changes the answer of {record.id}, so it cannot be read back."
        back = parse_choices(answer, record.options) if record.options else parse_entities(answer)
        typed = not record.options and record.labels and all(": " in label for label in record.labels)
        if (record.options or (typed and record.spans)) and back != record.labels:
            yield f"The labels of the record {record.id} cannot be read back from its answer: use choose or annotate."


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()
