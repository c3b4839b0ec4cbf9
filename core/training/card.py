"""The card of a trained skill: what it is, what it learnt from and how, and nothing of any record."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from ..adapters.artifact import CARD
from ..adapters.peft_files import CONFIG
from ..contract.declarations import Skill
from ..hashing import json_digest

if TYPE_CHECKING:
    from ..models.base import Base
    from ..prompts.encoding import Encoded, Encoder
    from .loop import Trained
    from .method import TuningMethod
    from .settings import TrainSettings

PACKAGES = ("mdkif", "torch", "transformers", "peft")


def identity(
    base: Base, encoder: Encoder, trainer: str, method: TuningMethod, loop: TrainSettings, examples: Sequence[Encoded]
) -> dict[str, Any]:
    """Everything that the result of a training depends on; `work` is its hash."""
    facts = {
        "base": base.name,
        "fingerprint": base.fingerprint,
        "dtype": str(base.model.dtype).removeprefix("torch."),
        "device": base.model.device.type,
        "format": encoder.prompt_format,
        "template": encoder.template.digest,
        "trainer": trainer,
        "settings": {**asdict(loop), **asdict(method)},
        "versions": {package: version(package) for package in PACKAGES},
    }
    return {**facts, "work": json_digest([facts, _contents(examples)])}


def card(
    skill: Skill,
    facts: Mapping[str, Any],
    trained: Trained,
    examples: Sequence[Encoded],
    datasets: Sequence[str],
    releases: Mapping[str, str],
    options: Mapping[str, Any],
    left_out: Counter[str],
    encoding: Counter[str],
) -> dict[str, Any]:
    """The card of a finished training; `facts` is its `identity`, `releases` those of data that packages ship."""
    data = {
        "datasets": sorted(datasets),
        "releases": dict(releases),
        "options": dict(options),
        "records": len(examples),
        "hash": _contents(examples),
        "left_out": dict(left_out),
        "encoding": dict(encoding),
    }
    return {
        "skill": skill.name,
        "title": skill.title,
        **facts,
        "steps": trained.steps,
        "data": data,
        "metrics": _losses(trained),
        "created": datetime.now(UTC).isoformat(),
    }


def readme(card: Mapping[str, Any]) -> str:
    """A card for people; it holds no record text."""
    return (
        f"# {card['title']}: the skill `{card['skill']}` for {card['base']}\n\n"
        f"A PEFT adapter trained with mdkif ({card['trainer']}, {card['steps']} steps) on "
        f"{card['data']['records']} records of {', '.join(card['data']['datasets'])}.\n"
        f"Load it with `PeftModel.from_pretrained(base, folder)`; `{CONFIG}` and `{CARD}` have every setting.\n"
    )


def _losses(trained: Trained) -> dict[str, float | None]:
    last = trained.losses[-10:]
    return {
        "train_loss": sum(last) / len(last),
        "dev_loss_before": trained.dev_before,
        "dev_loss": trained.dev_after,
    }


def _contents(examples: Sequence[Encoded]) -> str:
    """A hash of what was trained on, which says whether two runs saw the same data and nothing else."""
    digest = hashlib.sha256()
    for example in examples:
        digest.update(repr((example.record.id, example.prompt, example.answer)).encode())
    return digest.hexdigest()[:16]
