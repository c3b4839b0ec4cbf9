"""Rules for skills and tasks: what they name is there, and every record renders and is read back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ..contract.declarations import Dataset, Evaluator, PromptedSpec, Task
from ..data.labels import parse_choices, parse_entities
from ..data.records import Record
from ..data.sources import opened
from ..inspection.answers import GivenAway
from ..inspection.elsewhere import Elsewhere
from ..inspection.finding import Finding, finding
from ..inspection.records import RULES as OF_RECORDS
from ..inspection.records import RecordRule
from ..inspection.samples import NO_SAMPLE
from ..prompts.templates import Template
from ..workspace import Workspace
from .datasets import CONVERTS, OFFLINE, SAME, converted

RENDERS, EARNED = "renders a sample, and reads its answers back", "answers are not given away"


def prompted(
    workspace: Workspace, declared: PromptedSpec, subject: str, paths: dict[str, Path], elsewhere: Elsewhere
) -> Iterator[Finding]:
    """The rules for a skill or a task, on the files of each of its data sets that are there."""
    stated = [finding(subject, rule, lambda p=problems: p(workspace, declared)) for rule, problems in RULES.items()]  # type: ignore[misc]
    yield from stated
    if any(each.state == "broken" for each in stated):
        return
    if not paths:
        yield Finding(subject, CONVERTS, "not checked", NO_SAMPLE.format(declared.reads[0]))
    template = Template.of(declared, (workspace.store.templates,)) if paths else None
    for source in opened(workspace.plugins, declared, paths) if paths else ():
        assert template is not None
        rules = {name: rule() for name, rule in OF_RECORDS.items()}
        rules |= {RENDERS: Renders(template), EARNED: GivenAway(declared)}
        on = f"{subject} on {source.dataset.name}"
        yield from converted(source.dataset, on, source.path, source.options, elsewhere, rules)


class Renders(RecordRule):
    """A record becomes an instruction, and what a model writes in its words can be read."""

    def __init__(self, template: Template) -> None:
        self._template = template

    def look(self, record: Record) -> str:
        """A record whose instruction lacks something, or whose answer or labels do not come back."""
        name = self._template.name
        instruction = self._template.render(record)
        answer = self._template.parse_answer(instruction.answer, record)
        if not instruction.query or not instruction.answer:
            return f"The template '{name}' renders an empty query or answer for the record {record.id}."
        if answer != record.answer.strip():
            return f"The template '{name}' changes the answer of {record.id}, so it cannot be read back."
        back = parse_choices(answer, record.options) if record.options else parse_entities(answer)
        typed = not record.options and record.labels and all(": " in label for label in record.labels)
        if (record.options or (typed and record.spans)) and back != record.labels:
            return (
                f"The labels of the record {record.id} cannot be read back from its answer: "
                "use format_choices or format_entities."
            )
        return ""


def _reads(workspace: Workspace, declared: PromptedSpec) -> Iterator[str]:
    known = {each.name: each for each, _ in workspace.plugins.all(Dataset)}
    for source in (*declared.sources, *declared.alternatives):
        if source.dataset not in known:
            yield f"It reads '{source.dataset}', which no installed plugin provides: depend on the one that does."
        elif wrong := set(source.options) - set(known[source.dataset].options):
            yield f"It gives '{source.dataset}' the option '{min(wrong)}', which the data set does not have."


def _template(workspace: Workspace, declared: PromptedSpec) -> Iterator[str]:
    workspace.template(declared)
    yield from ()


def _metric(workspace: Workspace, declared: PromptedSpec) -> Iterator[str]:
    if isinstance(declared, Task):
        metrics = workspace.plugins.get(Evaluator, declared.evaluator).metrics
        if declared.metric not in metrics:
            yield (
                f"The evaluator '{declared.evaluator}' has no metric '{declared.metric}': it has {', '.join(metrics)}."
            )


RULES: dict[str, Callable[[Workspace, PromptedSpec], Iterable[str]]] = {
    "reads data sets that are installed": _reads,
    "its template is there": _template,
    "its metric is one of its evaluator's": _metric,
}
ON_FILES = (CONVERTS, OFFLINE, SAME, *OF_RECORDS, RENDERS, EARNED)
