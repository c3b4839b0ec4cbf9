"""The contract of baselines: what one is given to learn from and to answer, and what it answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from ..adapters.target import Target
from ..contract.declarations import Task
from ..data.records import Record
from ..errors import BadInput, MdkifError
from ..inference.predict import Answering, predict
from ..inference.predictions import Prediction
from ..progress import Progress
from ..settings import Settings

if TYPE_CHECKING:
    from ..adapters.artifact import Artifact
    from ..models.base import Base
    from ..prompts.encoding import Encoder


@dataclass(kw_only=True)
class Given:
    """What a baseline works with: the `records` to answer, having learnt from the `examples` and nothing else.

    No example is one of the records that are measured, has the text of one, or is of a group of theirs; other records
    may be among them, by which thresholds are set. Whatever is drawn at random is
    drawn by `seed`. `answering` says how the task's records are answered. `counts` takes the figures a baseline has to
    tell (trainable parameters, tokens read, steps chosen), which the report keeps. `model` and `skills` are there for
    a baseline whose declaration says that it uses them.
    """

    task: Task
    records: Sequence[Record]
    examples: Sequence[Record]
    seed: int = 0
    answering: Answering = field(default_factory=Answering)
    progress: Progress = field(default_factory=Progress)
    counts: dict[str, float] = field(default_factory=dict)
    model: Encoder | None = None
    skills: Mapping[str, Artifact] = field(default_factory=dict)

    @property
    def encoder(self) -> Encoder:
        """What turns records into the tokens of the base model, `encoder.base`. Raises MdkifError if it is not used."""
        if self.model is None:
            raise MdkifError('A baseline that uses the model has to say so: declare it with uses="model" or "skills".')
        return self.model

    def predict(self, base: Base | None = None, title: str = "") -> list[Prediction]:
        """The base model's answers to the records, or those of what a baseline made of it, as other targets'."""
        encoder = self.encoder if base is None else replace(self.encoder, base=base)
        return predict(encoder, list(encoder.encode(self.records)), self.answering, self.progress, title)

    def prediction(self, record: Record, **answer: Any) -> Prediction:
        """An answer to a record: `text`, or `scores`, one for each option, whose highest is then the text."""
        scores = answer.get("scores") or ()
        best = {"text": record.options[scores.index(max(scores))]} if scores else {}
        return Prediction(
            id=record.id,
            gold=record.labels,
            answer=record.answer,
            options=record.options,
            multi_label=self.answering.multi_label,
            **(best | answer),
        )


@dataclass(kw_only=True)
class BaselineMethod(Settings, ABC):
    """A dataclass whose fields are the baseline's settings (`--set NAME.setting=value`)."""

    @abstractmethod
    def answers(self, given: Given) -> list[Prediction]:
        """A prediction for each of `given.records`, in their order; the same seed gives the same.

        It sees what is right of the examples alone. Raises BadInput for examples that it cannot learn from.
        """


def kind_of(records: Sequence[Record]) -> Literal["options", "text"]:
    """What answers to these records are, by whether all of them list options."""
    return "options" if all(record.options for record in records) else "text"


def check_baselines(targets: Sequence[Target], records: Sequence[Record]) -> None:
    """Raises BadInput for a baseline that does not answer such records, or whose class is none."""
    for each in targets:
        if each.baseline is None:
            continue
        if not isinstance(each.method, BaselineMethod):
            what = f"The baseline '{each.baseline.name}' is a {type(each.method).__name__}"
            raise BadInput(f"{what}: its target has to be a class that inherits from mdkif.BaselineMethod.")
        if each.baseline.takes not in ("", kind_of(records)):
            what = (
                "list options, and these do not" if each.baseline.takes == "options" else "list no options, as these do"
            )
            raise BadInput(f"The baseline '{each.baseline.name}' is for records that {what}: name another.")


def answers(target: Target, given: Given) -> list[Prediction]:
    """What a baseline answers. Raises MdkifError, naming it, if that is not one prediction for each record."""
    assert isinstance(target.method, BaselineMethod)
    found = target.method.answers(given)
    if [each.id for each in found] != [record.id for record in given.records]:
        raise MdkifError(
            f"The {target.name} gave {len(found)} answers to {len(given.records)} records, or gave them in another "
            "order: it must answer each record once, in the order given."
        )
    return found
