"""What was evaluated, on disk: a later search repeats none of it, and an interrupted one goes on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..contract.declarations import Evaluator, Task
from ..hashing import digest
from ..workspace import Workspace

if TYPE_CHECKING:
    from ..adapters.bank import SkillBank
    from ..models.base import Base
    from ..prompts.encoding import Encoded, Encoder

COMPUTATION = 4
"""To be raised whenever the same blend on the same records is given other numbers than before."""


class EvaluationCache:
    """Numbers by what they were computed for: a file of JSON lines, to which every evaluation is added at once.

    It holds hashes of weights and the numbers found, and nothing of any record. A last line that was
    broken off is left out. It may be deleted at any time. Without a path nothing is kept longer than the object.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._known: dict[str, dict[int, float]] = {}
        text = path.read_text("ascii", errors="replace") if path and path.exists() else ""
        self._begin = "\n" if text and not text.endswith("\n") else ""
        for line in text.splitlines():
            self._read(line)

    def get(self, key: str) -> Mapping[int, float]:
        """What is known for a key, by place; empty if nothing is."""
        return self._known.get(key, {})

    def put(self, key: str, values: Mapping[int, float]) -> None:
        """Note values for a key beside those it has."""
        self._known.setdefault(key, {}).update(values)
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="ascii") as file:
            file.write(self._begin + json.dumps({"key": key, "values": values}) + "\n")
        self._begin = ""

    def _read(self, line: str) -> None:
        try:
            entry = json.loads(line)
            values = {int(place): float(value) for place, value in entry["values"].items()}
            self._known.setdefault(entry["key"], {}).update(values)
        except (ValueError, KeyError, TypeError, AttributeError):
            return


def losses_key(base: Base, bank: SkillBank, versions: Mapping[str, str], prompts: Sequence[Encoded], loss: str) -> str:
    """A name for everything that a blend's numbers depend on, for one kind of loss, beside its weights.

    These are the base and how it computes, the adapters, and the tokens: template, format and length have
    no other way to a likelihood. `loss` says what is made of the likelihoods.
    """
    adapters = [f"{name}:{versions[name]}" for name in bank.names]
    tokens = [part for each in prompts for part in (each.prompt, each.answer, *each.options, ())]
    computed = (base.fingerprint, str(base.model.dtype), base.model.device.type, bank.granularity)
    return digest(str(COMPUTATION), loss, *computed, str(adapters), *tokens)


def metric_key(
    workspace: Workspace,
    bank: SkillBank,
    versions: Mapping[str, str],
    examples: Sequence[Encoded],
    task: Task,
    encoder: Encoder,
    metric: str,
) -> str:
    """The same for a metric: beside what the losses depend on, how answers are read, scored and judged."""
    evaluator = workspace.plugins.get(Evaluator, task.evaluator)
    owner = workspace.plugins.owner(evaluator)
    judged = (evaluator.name, evaluator.target, owner.dist, owner.version, metric)
    answered = ("score", task.normaliser, str(task.multi_label), str(task.max_new_tokens), str(encoder.max_length))
    records = (repr(each.record) for each in examples)
    answers = losses_key(workspace.base, bank, versions, examples, "metric")
    return digest(answers, *judged, *answered, encoder.template.source(), *records)
