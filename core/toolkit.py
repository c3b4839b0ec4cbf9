"""The verbs of mdkif in Python; the command line is a thin skin over this class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .contract.catalogue import Entry, catalogue, owners
from .contract.declarations import KINDS, Dataset, Declaration, Router, Skill, Task, Trainer
from .contract.discovery import Plugins
from .data.conversion import ConversionReport, convert
from .data.record_files import as_dataset
from .data.records import Record
from .errors import BadInput, unknown
from .progress import Progress
from .store.layout import Store
from .workspace import Workspace

if TYPE_CHECKING:
    import datasets

    from .adapters.composition import Composition
    from .adapters.library import TrainedSkill
    from .conformance import Finding
    from .evaluation.report import Evaluation
    from .inference.predictions import Prediction
    from .prompts.encoding import Format
    from .routing.adapt import Adapted

    Evaluations = list[Evaluation]
    Predictions = list[Prediction]

Rows = list[dict[str, Any]]
Kinds = type[Skill] | type[Task] | tuple[type[Skill], type[Task]]


class Toolkit:
    """Everything a user does: list, convert, train, adapt, compose, evaluate, predict and export.

    `store` is the folder everything is kept in, `base` the base model (a name `mdkif models pull`
    knows, a local folder, or a hub id); it is loaded when a verb first needs it. `dtype` is "float32",
    "bfloat16", "float16" or "auto", which is bfloat16 where the hardware multiplies it; by default `$MDKIF_DTYPE`.

    >>> kit = Toolkit(store="my-store", base="smollm2")
    >>> [row["name"] for row in kit.list("routers") if row["name"] == "uniform"]
    ['uniform']
    """

    def __init__(
        self,
        store: Path | str | None = None,
        base: str | None = None,
        *,
        progress: Progress | None = None,
        dtype: str | None = None,
        device: str = "auto",
        format: Format = "auto",
        reserved: Sequence[str] = (),
        plugins: Plugins | None = None,
    ) -> None:
        found = plugins if plugins is not None else Plugins(reserved=reserved, first=owners())
        self.workspace = Workspace(found, Store(store), base, progress or Progress(), dtype, device, format)

    @property
    def plugins(self) -> Plugins:
        """What is installed, and what failed to load and why."""
        return self.workspace.plugins

    def list(self, kind: str | None = None, available: bool = False) -> Rows:
        """What is installed, or with `available` what is known and not installed, of one kind ("skills") or all."""
        singular = _singular(kind)
        if available:
            entries = [entry for entry in catalogue() if singular in (None, entry.kind)]
            have = {(d.kind, d.name) for d, _ in self.plugins.all(Declaration)}
            return [asdict(entry) for entry in entries if (entry.kind, entry.name) not in have]
        rows: Rows = []
        for declared, plugin in self.plugins.all(KINDS[singular] if singular else Declaration):
            if singular is None and declared.kind == "command":
                continue
            rows.append(
                {"name": declared.name, "kind": declared.kind, "title": declared.title}
                | _facts(declared)
                | {"dist": plugin.dist, "version": plugin.version}
            )
        order = list(KINDS)
        return sorted(rows, key=lambda row: (order.index(row["kind"]), row["name"]))

    def show(self, name: str) -> Rows:
        """The cards of everything named `name`, with its template, data sets and trained adapters."""
        found = [(d, p) for d, p in self.plugins.all(Declaration) if d.name == name]
        if not found:
            self._check_installed(name, *KINDS)
            known = {d.name for d, _ in self.plugins.all(Declaration)}
            raise unknown("skill, task or other plugin", name, known)
        return [self._card(declared) | {"dist": plugin.dist, "version": plugin.version} for declared, plugin in found]

    def convert(
        self, dataset: str, source: Path, conversion: ConversionReport, options: Mapping[str, Any] | None = None
    ) -> Iterator[Record]:
        """The records of an official distribution; `conversion` counts what was left out."""
        self._check_installed(dataset, Dataset.kind)
        return convert(self.plugins.get(Dataset, dataset), source, conversion, options)

    def dataset(
        self, dataset: str, source: Path, conversion: ConversionReport, options: Mapping[str, Any] | None = None
    ) -> datasets.Dataset:
        """The records of an official distribution as a `datasets.Dataset` in memory."""
        return as_dataset(self.convert(dataset, source, conversion, options))

    def preview(
        self, name: str, sources: Mapping[str, Path], count: int = 3, data: Mapping[str, Any] | None = None
    ) -> Rows:
        """The first records of a skill or task as rendered instructions: id, query, context, answer."""
        declared = self.instructed(name)
        template = self.workspace.template(declared)
        rows: Rows = []
        for record in self.workspace.records(declared, sources, ConversionReport(), data):
            if len(rows) == count:
                break
            rows.append({"id": record.id, **asdict(template.render(record))})
        return rows

    def pull(self, name: str) -> Path:
        """Put a base model into the store; returns its folder."""
        from .models.loading import pull

        return pull(self.plugins, self.workspace.store, name)

    def train(self, skill: str, sources: Mapping[str, Path], **options: Any) -> TrainedSkill:
        """Stage I: see `mdkif.core.skills.train_skill`."""
        from .training.train import train_skill

        return train_skill(self.workspace, skill, sources, **options)

    def adapt(self, task: str, sources: Mapping[str, Path], **options: Any) -> Adapted:
        """Stage II: see `mdkif.core.adaptation.adapt`."""
        from .routing.adapt import adapt

        return adapt(self.workspace, task, sources, **options)

    def compose(self, name: str, weights: Mapping[str, float]) -> Composition:
        """A composition with weights by hand: see `mdkif.core.compositions.compose`."""
        from .adapters.composition import compose

        return compose(self.workspace, name, weights)

    def evaluate(self, task: str, sources: Mapping[str, Path], targets: Sequence[str], **options: Any) -> Evaluations:
        """The task's metrics for each target: see `mdkif.core.evaluation.evaluate`."""
        from .evaluation.evaluate import evaluate

        return evaluate(self.workspace, task, sources, targets, **options)

    def predict(
        self, target: str, records: Sequence[Record], max_length: int = 1024, max_new_tokens: int = 128
    ) -> Predictions:
        """Answers to records as they are, without a task's template: label scores or generated text."""
        from .adapters.composition import applied
        from .inference.predict import predict

        plain = Task(
            name="predict",
            title="",
            category="question-answering",
            sources=(),
            template="instruction.jinja",
            package="",
            track="unseen task",
            evaluator="",
            metric="",
            max_new_tokens=max_new_tokens,
        )
        encoder = self.workspace.encoder(plain, max_length)
        examples = list(encoder.encode(records))
        if len(examples) < len(records):
            raise BadInput(
                f"{len(records) - len(examples)} record(s) do not fit into {max_length} tokens: use --max-length."
            )
        with applied(self.workspace, target):
            return predict(self.workspace, plain, encoder, examples, f"predicting with {target}")

    def export(self, target: str, directory: Path, to: str, quantize: str = "") -> dict[str, Any]:
        """A composition for other tools: see `mdkif.core.exporting.export`."""
        from .export.export import export

        return export(self.workspace, target, directory, to, quantize)

    def check(self, target: str = "", sources: Mapping[str, Path] | None = None) -> Iterator[Finding]:
        """The conformance of plugins, rule by rule: see `mdkif.core.conformance.check`."""
        from .conformance import check

        return check(self.workspace, target, sources)

    def instructed(self, name: str, kinds: Kinds = (Skill, Task)) -> Skill | Task:
        """The skill or task named `name`, a skill first.

        Raises BadInput with the distribution to install or, for a name nobody knows, the nearest one.
        """
        known = [d for cls in (Skill, Task) for d, _ in self.plugins.all(cls) if isinstance(d, kinds)]
        for declared in known:
            if declared.name == name:
                return declared
        wanted = [cls.kind for cls in (kinds if isinstance(kinds, tuple) else (kinds,))]
        self._check_installed(name, *wanted)
        raise unknown(" or ".join(wanted), name, (d.name for d in known))

    def _check_installed(self, name: str, *kinds: str) -> None:
        have = {(d.kind, d.name) for d, _ in self.plugins.all(Declaration)}
        for entry in catalogue():
            if entry.name == name and entry.kind in kinds and (entry.kind, name) not in have:
                failed = next((p.error for p in self.plugins.plugins if p.dist == entry.dist and p.error), None)
                raise BadInput(_how_to_get(entry, failed))

    def _card(self, declared: Declaration) -> dict[str, Any]:
        card = {"kind": declared.kind, **asdict(declared)}
        if isinstance(declared, (Skill, Task)):
            card["template_text"] = self.workspace.template(declared).source()
            card["data"] = [
                asdict(self.plugins.get(Dataset, s.dataset))
                for s in (*declared.sources, *declared.alternatives)
                if s.dataset in {d.name for d, _ in self.plugins.all(Dataset)}
            ]
        if isinstance(declared, (Trainer, Router)):
            card["settings"] = {field.name: field.default for field in fields(declared.load())}
        if isinstance(declared, Skill):
            from .adapters.library import trained_skills

            folder = self.workspace.store.root / "skills"
            bases = sorted(f.name for f in folder.iterdir() if f.is_dir()) if folder.is_dir() else []
            trained = [(base, trained_skills(self.workspace, base).get(declared.name)) for base in bases]
            card["trained"] = [{"path": str(t.path), **t.card} for _, t in trained if t is not None]
        return card


def _singular(kind: str | None) -> str | None:
    if kind is None or kind.removesuffix("s") in KINDS:
        return kind and kind.removesuffix("s")
    raise unknown("kind", kind, (f"{name}s" for name in KINDS))


def _facts(declared: Declaration) -> dict[str, Any]:
    names = ("category", "track", "licence", "access", "metric", "parameters")
    return {name: getattr(declared, name) for name in names if hasattr(declared, name)}


def _how_to_get(entry: Entry, failed: str | None) -> str:
    if failed:
        return f"The {entry.kind} '{entry.name}' cannot be used: {entry.dist} failed ({failed}); mend or reinstall it."
    if entry.planned:
        return f"The {entry.kind} '{entry.name}' is known but not published yet; it will be in {entry.dist}."
    return f"The {entry.kind} '{entry.name}' is not installed: pip install {entry.dist}."
