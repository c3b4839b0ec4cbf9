"""Where cells are computed: a workspace, data sets, and the results of a store, found again by their keys."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..adapters.library import library_of
from ..adapters.target import BASELINE
from ..contract.declarations import Baseline, Dataset, Evaluator, LazySpec, PromptedSpec, Router, Skill, Task, Trainer
from ..data.conversion import ConversionReport
from ..data.sources import Sources, chosen, found_sources
from ..errors import BadInput, unknown
from ..evaluation.baseline import BaselineMethod
from ..evaluation.evaluate import evaluate
from ..evaluation.settings import EvaluateSettings
from ..hashing import digest, file_digest, json_digest
from ..routing.adapt import adapt
from ..routing.optimizer import AdaptSettings
from ..settings import made_with
from ..store.documents import read_json, write_json
from ..training.settings import TrainSettings
from ..training.train import train_skill
from ..workspace import Workspace
from .cells import Cell, Job, Result, Training

CORE = Path(__file__).resolve().parents[1]
APART = {"console", "conformance", "experiments", "inspection", "export"}
"""The rooms on which no figure depends."""
RECORDS, BASE = "records", "base"


@dataclass
class Laboratory:
    """Computes jobs and keeps what they came to.

    A key is a hash of all that a job depends on: the code of the core and of each plugin used, the base model, the
    contents of the data sets, template, settings and seeds, and the keys of the skills. Skills of one training set-up
    and one seed lie in a store of their own, with the compositions and reports made of them: those of the user are
    not touched, and two jobs never write to the same place.
    """

    workspace: Workspace
    sources: Sources
    skip_bad: bool = False

    def __post_init__(self) -> None:
        self._digests: dict[object, str] = {}
        self._keys: dict[int, tuple[Job, str]] = {}

    def key(self, job: Job) -> str:
        """The name of a job's result."""
        if id(job) not in self._keys:
            needs = [self.key(each) for each in job.needs]
            self._keys[id(job)] = job, json_digest([job.kind, job.facts, needs, self._depends(job)])
        return self._keys[id(job)][1]

    def result(self, job: Job) -> Result | None:
        """What the job came to before, if all of it is still there."""
        path = self.workspace.store.cell(self.key(job))
        if not path.exists():
            return None
        try:
            found = Result(**read_json(path, "result of a cell"))
            if isinstance(job, Training):
                artifact = library_of(self._inside(found.place)).get(f"{job.skill}@{found.version}")
                return None if artifact.damaged else found
        except (BadInput, TypeError):
            return None
        return found if not found.report or (self.workspace.store.root / found.report).exists() else None

    def report(self, result: Result) -> Any:
        """The report of a cell."""
        return read_json(self.workspace.store.root / result.report, "report")

    def compute(self, job: Job) -> Result:
        """Do the job, unless it is done, and keep what it comes to. Raises MdkifError if it cannot be done."""
        if found := self.result(job):
            return found
        started = time.perf_counter()
        made = self._trained(job) if isinstance(job, Training) else self._measured(job)
        result = Result(key=self.key(job), facts=job.facts, seconds=round(time.perf_counter() - started, 2), **made)
        write_json(self.workspace.store.cell(result.key), result.as_json())
        return result

    def sources_of(self, declared: PromptedSpec) -> dict[str, Path]:
        """The data sets of a skill or task: of those given, else what is installed.

        Raises BadInput, naming what to get, if none is there.
        """
        found = chosen(declared, self.sources)
        if not found:
            with suppress(BadInput):
                found = dict(found_sources(self.workspace.plugins, declared, {}))
        if not found:
            wanted = " or ".join(declared.reads)
            raise BadInput(
                f"The {declared.kind} '{declared.name}' needs {wanted} ('mdkif show {declared.reads[0]}' says where it "
                "is): list it in the file of --sources, or use the stand-in, where there is one, that 'mdkif synth "
                "hospital' writes, with --sources hospital/sources.toml."
            )
        return found

    def declared(self, job: Job) -> PromptedSpec:
        """The skill or task of a job; records are counted of either."""
        plugins = self.workspace.plugins
        if isinstance(job, Training):
            return plugins.get(Skill, job.skill)
        return plugins.get(PromptedSpec if job.run == RECORDS else Task, job.task)

    def _trained(self, job: Training) -> dict[str, Any]:
        place = json_digest([job.trainer, dict(job.method), dict(job.loop), self.workspace.base.fingerprint])
        skill = self.workspace.plugins.get(Skill, job.skill)
        trainer = made_with(self.workspace.plugins.get(Trainer, job.trainer).load(), **job.method)
        made = train_skill(self._inside(place), skill, self.sources_of(skill), job.trainer, trainer,
                           TrainSettings(**job.loop), skip_bad=self.skip_bad)  # fmt: skip
        return {"version": made.version, "place": place, "figures": made.card["metrics"]}

    def _measured(self, job: Cell) -> dict[str, Any]:
        if job.run == RECORDS:
            return self._counted(job)
        task, skills = self.workspace.plugins.get(Task, job.task), [self.compute(each) for each in job.needs]
        references = [f"{each.facts['skill']}@{each.version}" for each in skills]
        inside = self._inside(skills[0].place if skills else BASE, self._uses_base(job))
        made: dict[str, Any] = {}
        target: str | BaselineMethod = f"skill:{references[0]}" if job.run.startswith("skill:") else job.run
        if job.run.startswith(BASELINE):
            named = self.workspace.plugins.get(Baseline, job.run.removeprefix(BASELINE))
            target = made_with(named.load(), **job.own)
        elif job.adaptation:
            router = made_with(self.workspace.plugins.get(Router, job.run).load(), **job.own)
            found = adapt(inside, task, self.sources_of(task), job.run, router, AdaptSettings(**job.adaptation),
                          skills=references, name=self.key(job), skip_bad=self.skip_bad, data=job.data,
                          replace=True)  # fmt: skip
            target = found.composition.name
            figures = {"objective": found.end, "references": dict(found.references), "moved": found.moved,
                       "nearest": found.nearest, "evaluations": found.evaluations}  # fmt: skip
            made = {"weights": found.composition.summary(), "figures": figures}
        [done] = evaluate(inside, task, self.sources_of(task), [target], EvaluateSettings(**job.evaluation),
                          skills=references or None, skip_bad=self.skip_bad, data=job.data)  # fmt: skip
        assert done.report is not None
        report = str(done.report.relative_to(self.workspace.store.root))
        return {"metrics": dict(done.metrics), "n": done.n, "report": report, **({"figures": dict(done.counts)} | made)}

    def _counted(self, job: Cell) -> dict[str, Any]:
        """How many records each split has, and how many labels a record may have."""
        declared, policy = self.declared(job), str(job.evaluation.get("split_policy", "official"))
        counts: dict[str, float] = {"train": 0, "adapt": 0, "dev": 0, "test": 0, "labels": 0}
        report = ConversionReport(self.skip_bad)
        for record in self.workspace.records(declared, self.sources_of(declared), report, job.data, policy):
            if record.split in counts:
                counts[record.split] += 1
                counts["labels"] = max(counts["labels"], len(record.options))
        total = sum(counts[name] for name in ("train", "adapt", "dev", "test"))
        return {"metrics": {**counts, "records": total}, "n": int(total)}

    def _inside(self, place: str, base: bool = True) -> Workspace:
        inner = replace(self.workspace, store=self.workspace.store.experiment(place))
        if base:
            inner.__dict__["base"] = self.workspace.base
        return inner

    def _uses_base(self, job: Job) -> bool:
        """Whether the base model has a part in a job; counting has none for it, nor have some baselines."""
        if isinstance(job, Cell) and job.run.startswith(BASELINE):
            return self.workspace.plugins.get(Baseline, job.run.removeprefix(BASELINE)).uses != RECORDS
        return isinstance(job, Training) or job.run != RECORDS

    def _depends(self, job: Job) -> list[str]:
        declared, plugins = self.declared(job), self.workspace.plugins
        found = [self._code, self.workspace.template(declared).digest, self._package(declared.package)]
        for dataset, path in self.sources_of(declared).items():
            converter = plugins.get(Dataset, dataset).target.partition(":")[0]
            found += [dataset, self._package(converter), self._contents(path)]
        if isinstance(job, Cell) and job.run == RECORDS:
            return found
        used: list[LazySpec] = []
        if isinstance(job, Training):
            used = [plugins.get(Trainer, job.trainer)]
        elif isinstance(declared, Task):
            used = [plugins.get(Evaluator, declared.evaluator)]
            if job.run.startswith(BASELINE):
                used.append(plugins.get(Baseline, job.run.removeprefix(BASELINE)))
            elif job.adaptation:
                used.append(plugins.get(Router, job.run))
        found += [self._package(each.target.partition(":")[0]) for each in used]
        if not self._uses_base(job):
            return found
        base = self.workspace.base
        return [*found, base.fingerprint, str(base.model.dtype), base.model.device.type, self.workspace.format]

    @cached_property
    def _code(self) -> str:
        rooms = (path for path in sorted(CORE.rglob("*.py")) if path.relative_to(CORE).parts[0] not in APART)
        return file_digest(*rooms)

    def _package(self, module: str) -> str:
        """A short name of a plugin's code."""
        if module not in self._digests:
            spec = find_spec(module)
            files = [Path(spec.origin)] if spec and spec.origin else []
            if spec and spec.submodule_search_locations:
                files = sorted(files[0].parent.rglob("*.py"))
            self._digests[module] = file_digest(*files)
        return self._digests[module]

    def _contents(self, path: Path) -> str:
        """A short name of the contents of a data set, a file or a folder; they are read once."""
        if path not in self._digests:
            files = [each for each in sorted(path.rglob("*")) if each.is_file()] if path.is_dir() else [path]
            names = [str(each.relative_to(path)) for each in files]
            self._digests[path] = digest(json_digest(names), file_digest(*files)) if path.exists() else ""
        return self._digests[path]


def settings_of(
    cls: type[Any], stage: type[Any], values: Mapping[str, Any], where: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings of a trainer or router and those of its stage, all of them, from values of either.

    Raises BadInput, naming the recipe, for a name that neither has and for a wrong value.
    """
    own, loop = ({each.name for each in fields(kind) if each.init} for kind in (cls, stage))
    try:
        for name in values:
            if name not in own | loop:
                raise unknown("setting", name, own | loop)
        first = made_with(cls, **{name: value for name, value in values.items() if name in own})
        second = made_with(stage, **{name: value for name, value in values.items() if name in loop})
    except BadInput as error:
        raise BadInput(f"In the recipe {where}: {error}") from None
    return asdict(first), asdict(second)
