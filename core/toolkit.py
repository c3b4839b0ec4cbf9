"""The verbs of mdkif in Python; the command line is a thin skin over this class."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from . import cards
from .contract.catalogue import owners
from .contract.declarations import Baseline, Dataset, LazySpec, PromptedSpec, Router, Skill, Task, Trainer
from .contract.discovery import Plugins
from .data import own
from .data.conversion import ConversionReport, convert
from .data.record_files import as_dataset
from .data.records import Record
from .data.sources import source_of
from .progress import Progress
from .settings import made_with
from .store.layout import Store
from .workspace import Workspace

if TYPE_CHECKING:
    import datasets

    from .adapters.artifact import Artifact
    from .adapters.composition import Composition
    from .evaluation.baseline import BaselineMethod
    from .evaluation.report import Evaluation
    from .evaluation.settings import EvaluateSettings
    from .experiments.results import Results
    from .inference.predictions import Prediction
    from .inspection.finding import Finding
    from .prompts.encoding import Format
    from .routing.adapt import Adapted
    from .routing.optimizer import AdaptSettings, RouterOptimizer
    from .training.estimate import TrainEstimate
    from .training.method import TuningMethod
    from .training.settings import TrainSettings
    from .upkeep.verify import Verified

    Evaluations = list[Evaluation]
    Predictions = list[Prediction]

Rows = cards.Rows
Sources = Mapping[str, Path]
Options = Mapping[str, Any]
P = TypeVar("P", bound=PromptedSpec)


class Toolkit:
    """Everything a user does: list, convert, train, adapt, compose, evaluate, predict and export.

    `store` is the folder everything is kept in, `base` the base model (a name `mdkif models pull`
    knows, a local folder, or a hub id); it is loaded when a verb first needs it. `dtype` is "float32",
    "bfloat16", "float16" or "auto", which is bfloat16 where the hardware multiplies it; by default `$MDKIF_DTYPE`.
    `sources` are paths by data set; without any, a skill or task reads those that come with installed packages.

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
        plugins: Plugins | None = None,
    ) -> None:
        found = plugins if plugins is not None else Plugins(first=owners())
        self.workspace = Workspace(found, Store(store), base, progress or Progress(), dtype, device, format)

    @property
    def plugins(self) -> Plugins:
        """What is installed, and what failed to load and why."""
        return self.workspace.plugins

    def list(self, kind: str | None = None, available: bool = False) -> Rows:
        """What is installed, known or kept in the store, as rows: see `mdkif.core.cards.rows`."""
        return cards.rows(self.workspace, kind, available)

    def show(self, name: str) -> Rows:
        """The cards of everything named `name`: see `mdkif.core.cards.cards`."""
        return cards.cards(self.workspace, name)

    def remove(self, name: str) -> Sequence[Path]:
        """Take away a trained skill ("skill:NAME[@VERSION]"), a composition or a report; returns what was removed."""
        from .adapters import inventory
        from .adapters.library import packs_of

        return inventory.remove(self.workspace.store, name, packs_of(self.workspace))

    def verify(self, name: str = "") -> Iterator[Verified]:
        """Every byte of what the store holds, or an export, held against its hash: `mdkif.core.upkeep.verify`."""
        from .upkeep.verify import verify

        return verify(self.workspace.store, name)

    def convert(
        self, dataset: str, source: Path | None, report: ConversionReport, options: Options | None = None
    ) -> Iterator[Record]:
        """The records of an official distribution, or of the installed one; `report` counts what was left out."""
        declared = self.plugins.get(Dataset, dataset)
        return convert(declared, source_of(declared, source), report, options)

    def dataset(
        self, dataset: str, source: Path, report: ConversionReport, options: Options | None = None
    ) -> datasets.Dataset:
        """The records of an official distribution as a `datasets.Dataset` in memory."""
        return as_dataset(self.convert(dataset, source, report, options))

    def preview(self, name: str, sources: Sources, count: int = 3, data: Options | None = None) -> Rows:
        """The first records of a skill or task as rendered instructions: id, query, context, answer."""
        known = {declared.name for declared, _ in self.plugins.all(PromptedSpec)}
        declared, sources = self._declared(PromptedSpec if name in known else Skill, name, sources)
        template = self.workspace.template(declared)
        records = islice(self.workspace.records(declared, sources, ConversionReport(), data), count)
        return [{"id": record.id, **asdict(template.render(record))} for record in records]

    def pull(self, name: str) -> Path:
        """Put a base model into the store; returns its folder."""
        from .models.loading import pull

        return pull(self.plugins, self.workspace.store, name, self.workspace.progress.note)

    def trainer(self, name: str, **settings: Any) -> TuningMethod:
        """The trainer of that name with these settings. Raises BadInput for an unknown name, setting or value."""
        made: TuningMethod = made_with(self.plugins.get(Trainer, name).load(), **settings)
        return made

    def router(self, name: str, **settings: Any) -> RouterOptimizer:
        """The router of that name with these settings. Raises BadInput for an unknown name, setting or value."""
        made: RouterOptimizer = made_with(self.plugins.get(Router, name).load(), **settings)
        return made

    def baseline(self, name: str, **settings: Any) -> BaselineMethod:
        """The baseline of that name with these settings. Raises BadInput for an unknown name, setting or value."""
        made: BaselineMethod = made_with(self.plugins.get(Baseline, name).load(), **settings)
        return made

    def train(
        self,
        skill: str,
        sources: Sources,
        *,
        trainer: str | TuningMethod = "adalora",
        settings: TrainSettings | None = None,
        skip_bad: bool = False,
        data: Options | None = None,
        replace: bool = False,
    ) -> Artifact:
        """Stage I: train one skill, alone, into the store (see `mdkif.core.training.train.train_skill`)."""
        from .training.settings import TrainSettings
        from .training.train import train_skill

        declared, sources = self._declared(Skill, skill, sources)
        name, method = self._made(Trainer, trainer)
        chosen = settings or TrainSettings()
        return train_skill(self.workspace, declared, sources, name, method, chosen,
                           skip_bad=skip_bad, data=data, replace=replace)  # fmt: skip

    def estimate(
        self,
        skill: str,
        sources: Sources,
        *,
        trainer: str | TuningMethod = "adalora",
        settings: TrainSettings | None = None,
        skip_bad: bool = False,
        data: Options | None = None,
    ) -> TrainEstimate:
        """What `train` would take: steps, tokens, memory and hours (see `mdkif.core.training.estimate`)."""
        from .training.settings import TrainSettings
        from .training.train import estimate_skill

        declared, sources = self._declared(Skill, skill, sources)
        _, method = self._made(Trainer, trainer)
        return estimate_skill(self.workspace, declared, sources, method, settings or TrainSettings(),
                              skip_bad=skip_bad, data=data)  # fmt: skip

    def adapt(
        self,
        task: str,
        sources: Sources,
        *,
        router: str | RouterOptimizer = "gradient",
        settings: AdaptSettings | None = None,
        skills: Sequence[str] | None = None,
        name: str | None = None,
        skip_bad: bool = False,
        data: Options | None = None,
        replace: bool = False,
    ) -> Adapted:
        """Stage II: learn the router of a task (see `mdkif.core.routing.adapt.adapt`)."""
        from .routing.adapt import adapt
        from .routing.optimizer import AdaptSettings

        declared, sources = self._declared(Task, task, sources)
        named, optimizer = self._made(Router, router)
        chosen = settings or AdaptSettings()
        return adapt(self.workspace, declared, sources, named, optimizer, chosen, skills=skills, name=name,
                     skip_bad=skip_bad, data=data, replace=replace)  # fmt: skip

    def compose(self, name: str, weights: Mapping[str, float], *, replace: bool = False) -> Composition:
        """A composition with weights by hand: see `mdkif.core.adapters.target.compose`."""
        from .adapters.target import compose

        return compose(self.workspace, name, weights, replace)

    def evaluate(
        self,
        task: str,
        sources: Sources,
        targets: Sequence[str | BaselineMethod],
        *,
        settings: EvaluateSettings | None = None,
        skills: Sequence[str] | None = None,
        skip_bad: bool = False,
        data: Options | None = None,
    ) -> Evaluations:
        """The task's metrics for each target: see `mdkif.core.evaluation.evaluate.evaluate`."""
        from .evaluation.evaluate import evaluate
        from .evaluation.settings import EvaluateSettings

        declared, sources = self._declared(Task, task, sources)
        chosen = settings or EvaluateSettings()
        return evaluate(self.workspace, declared, sources, targets, chosen, skills=skills, skip_bad=skip_bad, data=data)

    def reproduce(self, recipe: str, sources: Sources, **options: Any) -> Results:
        """A recipe, a file or one of a plugin: see `mdkif.core.experiments.reproduce.reproduce`."""
        from .experiments.reproduce import reproduce

        return reproduce(self.workspace, recipe, sources, **options)

    def predict(
        self, target: str, records: Iterable[Record], max_length: int = 1024, max_new_tokens: int = 128
    ) -> Predictions:
        """Answers to records as they are, without a task's template: see `mdkif.core.inference.predict.answered`."""
        from .inference.predict import answered

        return list(answered(self.workspace, target, records, max_length, max_new_tokens))

    def export(self, target: str, directory: Path, to: str, quantize: str = "") -> dict[str, Any]:
        """A composition for other tools: see `mdkif.core.export.export.export`."""
        from .export.export import export

        return export(self.workspace, target, directory, to, quantize)

    def import_skill(
        self, directory: Path, name: str, *, licence: str, title: str = "", replace: bool = False
    ) -> Artifact:
        """An adapter trained elsewhere as a skill: see `mdkif.core.export.adapter.import_adapter`."""
        from .export.adapter import import_adapter

        return import_adapter(self.workspace, directory, name, licence=licence, title=title, replace=replace)

    def export_skill(self, skill: str, directory: Path) -> dict[str, Any]:
        """One skill as a PEFT folder: see `mdkif.core.export.adapter.export_adapter`."""
        from .export.adapter import export_adapter

        return export_adapter(self.workspace, skill, directory)

    def publish(
        self, skills: Sequence[str], directory: Path, *, name: str, licence: str, **facts: Any
    ) -> dict[str, Any]:
        """Trained skills as a distribution that others install: see `mdkif.core.export.publish.publish`."""
        from .export.publish import publish

        return publish(self.workspace, skills, directory, name=name, licence=licence, **facts)

    def check(self, target: str = "", sources: Sources | None = None) -> Iterator[Finding]:
        """The conformance of plugins, rule by rule: see `mdkif.core.conformance.check`."""
        from .conformance.check import check

        return check(self.workspace, target, sources)

    def _declared(self, kind: type[P], name: str, sources: Sources) -> tuple[P, Sources]:
        """The skill or task of that name, and its data; a name that nobody else has stands for records of one's own."""
        installed = {declared.name for declared, _ in self.plugins.all(kind)}
        if own.NAME in sources and name not in installed:
            return own.own_spec(kind, self.plugins, name, sources[own.NAME]), sources
        declared = self.plugins.get(kind, name)
        return declared, self.workspace.found(declared, sources)

    def _made(self, kind: type[LazySpec], given: Any) -> tuple[str, Any]:
        """Name and object of a trainer or router, given as one of the two."""
        declared, made = self.plugins.made(kind, given)
        return declared.name, made
