"""What a plugin declares: names, facts and where the code is. Nothing here imports the code itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

from ..errors import BadInput

Category = Literal[
    "question-answering",
    "text-classification",
    "sequence-labelling",
    "sequence-to-sequence",
    "knowledge-graph",
]
"""The five data categories of SA-MDKIF section 3.2.2; each has a default template of the same name."""


Normaliser = Literal["sum", "token-mean", "character", "pmi"]
Read = Literal["all", "first-line"]
TruncationSide = Literal["right", "left", "middle"]
Track = Literal["unseen data", "unseen task"]
AnswerKind = Literal["options", "text", ""]
Need = Literal["records", "model", "skills"]
CATEGORIES: tuple[str, ...] = get_args(Category)
CHOICES: dict[str, tuple[str, ...]] = {
    "category": CATEGORIES,
    "normaliser": get_args(Normaliser),
    "truncation_side": get_args(TruncationSide),
    "track": get_args(Track),
    "judges": get_args(AnswerKind),
    "takes": get_args(AnswerKind),
    "uses": get_args(Need),
}
"""Fields that take one of a few values."""


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """A thing a plugin provides: `name` is what users type, `title` one line for people."""

    kind: ClassVar[str]
    name: str
    title: str


@dataclass(frozen=True, kw_only=True)
class LazySpec(Declaration):
    """A declaration whose code lies at `target`, "module:attribute", and is imported only when used."""

    target: str

    def load(self) -> Any:
        """Import the code. Raises BadInput naming the declaration if it cannot be imported."""
        return self._imported(self.target)

    def _imported(self, place: str) -> Any:
        module, _, attribute = place.partition(":")
        try:
            return getattr(import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise BadInput(
                f"The {self.kind} '{self.name}' cannot be loaded from {place}: {error}; "
                "reinstall the distribution that provides it."
            ) from error


@dataclass(frozen=True, kw_only=True)
class InstalledData:
    """A data set's official files as an installed package ships them, and which `release` they are, for cards."""

    path: Path
    release: str


@dataclass(frozen=True, kw_only=True)
class Dataset(LazySpec):
    """A converter from one data set's official distribution to records.

    `target` is a function `(source: Path, conversion: ConversionReport, **options) -> Iterator[Record]`;
    `options` names each keyword it accepts, with one line of help. Where a package ships the files, `installed` is a
    function "module:attribute" `() -> InstalledData`, which raises BadInput if the package is missing.
    """

    kind: ClassVar[str] = "dataset"
    licence: str
    access: str
    homepage: str
    citation: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    stand_in: str = ""
    installed: str = ""

    def find(self) -> InstalledData | None:
        """The files of an installed package; None for a data set that comes with none.

        Raises BadInput, with what to install, if the package is missing or damaged.
        """
        found: InstalledData | None = self._imported(self.installed)() if self.installed else None
        return found


@dataclass(frozen=True, kw_only=True)
class Source:
    """Which data set feeds a skill or task, and the converter options that select its part of it.

    `sizes` are STAF-LLM's numbers of training, adaptation and test records (its table 2), for the
    split policy "paper".
    """

    dataset: str
    options: Mapping[str, Any] = field(default_factory=dict)
    sizes: tuple[int, int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class PromptedSpec(Declaration):
    """What skills and tasks share: where records come from and the template that renders them.

    `sources` are merged; `alternatives` are other data sets for the same work, used only when named, or when they are
    installed and none of `sources` is.
    `max_new_tokens` bounds a generated answer; `normaliser` is how label scores are made comparable
    (see `scoring.normalised`), `multi_label` whether any number of the listed labels may be right.
    `truncation_side` is where a context too long is cut: at its "right" end, its "left" or in its "middle".
    `template` is a file in the `templates` folder of `package` (the module that declares it).
    """

    category: Category
    sources: tuple[Source, ...]
    alternatives: tuple[Source, ...] = ()
    template: str
    package: str
    papers: tuple[str, ...] = ()
    normaliser: Normaliser = "sum"
    multi_label: bool = False
    truncation_side: TruncationSide = "right"
    max_new_tokens: int = 64

    @property
    def reads(self) -> tuple[str, ...]:
        """The names of its data sets, stand-ins last."""
        return tuple(source.dataset for source in (*self.sources, *self.alternatives))

    def source(self, dataset: str) -> Source:
        """The source named `dataset`. Raises BadInput if this skill or task does not read it."""
        for source in (*self.sources, *self.alternatives):
            if source.dataset == dataset:
                return source
        raise BadInput(f"The {self.kind} '{self.name}' does not read '{dataset}': it reads {', '.join(self.reads)}.")


@dataclass(frozen=True, kw_only=True)
class Skill(PromptedSpec):
    """One kind of medical work to be learnt as a low-rank adapter (STAF-LLM calls it an expert)."""

    kind: ClassVar[str] = "skill"


@dataclass(frozen=True, kw_only=True)
class Task(PromptedSpec):
    """A downstream task a router is learnt for; `track` is the papers' unseen data or unseen task.

    `evaluator` names the evaluator plugin and `metric` the one of its metrics the papers report.
    """

    kind: ClassVar[str] = "task"
    track: Track
    evaluator: str
    metric: str


@dataclass(frozen=True, kw_only=True)
class Trainer(LazySpec):
    """A way to train an adapter: `target` is a dataclass that implements `training.TuningMethod`."""

    kind: ClassVar[str] = "trainer"


@dataclass(frozen=True, kw_only=True)
class Router(LazySpec):
    """A router optimizer: `target` is a dataclass that implements `router.RouterOptimizer`."""

    kind: ClassVar[str] = "router"


@dataclass(frozen=True, kw_only=True)
class Baseline(LazySpec):
    """What a task's results are compared with: `target` is a dataclass that implements `baseline.BaselineMethod`.

    `takes` says which records it answers: those that list "options", those without ("text"), or both (""). `uses` is
    what it needs: "records" alone, the base "model" too, or also the trained "skills". A `shortcut` shows what is
    reached without understanding, and `--shortcuts` adds it.
    """

    kind: ClassVar[str] = "baseline"
    takes: AnswerKind = ""
    uses: Need = "records"
    shortcut: bool = False


@dataclass(frozen=True, kw_only=True)
class Evaluator(LazySpec):
    """Metrics over predictions: `target` is a function `(Sequence[Prediction]) -> dict[str, float]`.

    `metrics` maps each metric it computes to whether higher is better. `judges` says what it is chosen for where
    nobody names an evaluator: answers that are listed options, free text, or neither. One that `calibrates` takes a
    second argument: predictions of records that may be learnt from, to set thresholds by, or none.
    """

    kind: ClassVar[str] = "evaluator"
    metrics: Mapping[str, bool]
    judges: AnswerKind = ""
    calibrates: bool = False


@dataclass(frozen=True, kw_only=True)
class BaseModel(LazySpec):
    """A base model the store can hold: `target` is a function `(directory: Path) -> None`.

    It writes a Hugging Face model directory (config, safetensors, tokenizer) into `directory`.
    """

    kind: ClassVar[str] = "model"
    licence: str
    parameters: str


@dataclass(frozen=True, kw_only=True)
class Pack(Declaration):
    """Trained skills that come in a distribution: the folder `skills` of `package` holds one of a store's for each.

    `base` is the name of the base model they were trained on, `licence` the terms of what is in the pack.
    """

    kind: ClassVar[str] = "pack"
    base: str
    licence: str
    package: str

    @property
    def folder(self) -> Path | None:
        """Where the skills lie; None if the package is not there. Nothing of it is imported."""
        spec = find_spec(self.package)
        return Path(spec.origin).parent / "skills" if spec is not None and spec.origin else None


@dataclass(frozen=True, kw_only=True)
class Recipe(Declaration):
    """An experiment: the file `recipes/NAME.toml` of `package` says what is measured, how often and with which seeds.

    A name may have a folder, as in "staf-llm/table3". `paper` is whose table or figure it repeats, if any.
    """

    kind: ClassVar[str] = "recipe"
    package: str
    paper: str = ""


@dataclass(frozen=True, kw_only=True)
class Command(LazySpec):
    """A subcommand of `mdkif`: `target` is a click command, imported when it is called."""

    kind: ClassVar[str] = "command"


KINDS: dict[str, type[Declaration]] = {
    cls.kind: cls
    for cls in (Skill, Task, Dataset, Trainer, Router, Baseline, Evaluator, BaseModel, Pack, Recipe, Command)
}
