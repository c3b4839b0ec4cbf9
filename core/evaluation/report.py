"""What the store keeps of an evaluation: numbers and ids, and no text."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..contract.declarations import Normaliser
from ..errors import BadInput
from ..hashing import json_digest
from ..inference.predictions import Prediction
from ..settings import Settings
from ..store.documents import read_object, write_json

Evaluate = Callable[[Sequence[Prediction]], Mapping[str, float]]

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from ..adapters.target import Target
    from ..prompts.encoding import Encoder


@dataclass(frozen=True)
class Evaluation:
    """The metrics of one target on one task's records; `normaliser` is None where no labels were scored.

    `report` is the file in the store that has all of it.
    """

    task: str
    target: str
    n: int
    metrics: Mapping[str, float]
    counts: Mapping[str, float]
    normaliser: Normaliser | None = None
    report: Path | None = None

    def as_row(self) -> dict[str, Any]:
        """The same as plain values; the target is called "with"."""
        return {
            "task": self.task,
            "with": self.target,
            "n": self.n,
            "metrics": dict(self.metrics),
            "counts": dict(self.counts),
            "normaliser": self.normaliser,
            "report": str(self.report),
        }


@dataclass(frozen=True)
class Run:
    """What all targets of one evaluation share: settings, data sets, converter options and what was left out.

    `groups` are those of the records, in their order: the numbers of what must not be told apart as chance.
    """

    settings: Settings
    datasets: Sequence[str]
    options: Mapping[str, Any]
    left_out: Mapping[str, int]
    encoder: Encoder | None
    groups: Sequence[int]


def numbered(names: Sequence[str]) -> list[int]:
    """Names as numbers, in the order they first occur."""
    known = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return [known[name] for name in names]


def write_report(
    folder: Path, target: Target, done: Evaluation, run: Run, predictions: Sequence[Prediction], evaluate: Evaluate
) -> Evaluation:
    """Write an evaluation with its predictions; the file's name tells it from every other run that differs.

    Of generated text, which is not kept, `evaluate` gives the metrics of each record alone.
    """
    settings: DataclassInstance = run.settings
    asked = {
        "task": done.task,
        "with": done.target,
        "versions": target.versions,
        "composition": target.made.version if target.made is not None else None,
        **(_model(target, run.encoder) if run.encoder and target.needs_base else {"base": None}),
        **({"baseline": asdict(method)} if (method := target.method) else {}),
        "settings": asdict(settings),
        "data": {"datasets": list(run.datasets), "options": dict(run.options)},
    }
    found = {
        "n": done.n,
        "metrics": dict(done.metrics),
        "counts": dict(done.counts),
        "left_out": dict(run.left_out),
        "normaliser": done.normaliser,
    }
    plain = re.sub(r"[^\w.-]+", "-", done.target)
    path = folder / f"{done.task}-{plain}-{json_digest(asked)[:8]}.json"
    rows = [_row(each) | ({} if each.options else {"alone": dict(evaluate([each]))}) for each in predictions]
    for row, group in zip(rows, run.groups, strict=True):
        row["group"] = group
    write_json(path, asked | found | {"records": rows})
    return replace(done, report=path)


def _model(target: Target, encoder: Encoder) -> dict[str, Any]:
    """What a report says of the base model, and of how it is asked."""
    return {
        "base": target.base.name,
        "fingerprint": target.base.fingerprint,
        "dtype": str(target.base.model.dtype).removeprefix("torch."),
        "format": encoder.prompt_format,
        "template": encoder.template.digest,
    }


def reports(folder: Path) -> list[dict[str, Any]]:
    """A row for each report: what was measured with what, on how many records, and the metrics."""
    rows = []
    for path in sorted(folder.glob("[!.]*.json")):
        try:
            body = read_report(path)
        except BadInput:  # of an older mdkif, or damaged: it is still there to be looked at, and doctor tells of it
            continue
        settings = body.get("settings") or {}
        about = {name: settings.get(name) for name in ("split", "split_policy", "seed", "limit")}
        rows.append({"name": path.stem, "kind": "report", "title": f"{body['task']} with {body['with']}",
                     "task": body["task"], "with": body["with"], "base": body["base"], "n": body["n"],
                     "metrics": body["metrics"], **about})  # fmt: skip
    return rows


def read_report(path: Path) -> dict[str, Any]:
    """A report's file. Raises BadInput if it is none."""
    needed = {"task": str, "with": str, "base": str, "n": int, "metrics": dict}
    return read_object(path, "report", needed, {"settings": dict})


def _row(prediction: Prediction) -> dict[str, Any]:
    """What a report keeps of a prediction: numbers, one per option or of options, and the id."""
    gold = [prediction.options.index(label) for label in prediction.gold if prediction.options]
    found = [prediction.options.index(label) for label in prediction.labels]
    row: dict[str, Any] = {"id": prediction.id, "gold": gold, "scores": _rounded(prediction.scores), "labels": found}
    if of := prediction.likelihoods:
        row |= {"sums": _rounded(of.sums), "tokens": of.tokens, "token_means": _rounded(of.token_means)}
        row |= {"character_means": _rounded(of.character_means), "unconditional": _rounded(of.unconditional)}
    return row


def _rounded(numbers: Sequence[float]) -> list[float]:
    return [round(number, 5) for number in numbers]
