"""The artifact: what was trained, on which base and records, whether it can be blended, and how it is applied.

A skill's artifact is a folder in a store: the files of the trained thing, as its own library saves them, and a card.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ..data.learnt import Learnt
from ..errors import BadInput
from ..hashing import file_digest
from ..store.documents import read_json
from .low_rank import LowRank
from .peft_files import CONFIG, is_low_rank, read_adapter

if TYPE_CHECKING:
    from ..models.base import Base

CARD, LEARNT = "skill.json", "learnt.json"


@dataclass(frozen=True)
class Artifact(ABC):
    """A trained thing: the skill it is of, its folder, and its card."""

    name: str
    path: Path
    card: Mapping[str, Any]

    kind: ClassVar[str]
    blendable: ClassVar[bool] = False

    @property
    def version(self) -> str:
        """What tells this training from another of the same skill: a hash of what was trained."""
        return str(self.card["adapter"])

    @property
    def reference(self) -> str:
        """Skill and version, as `--with` takes them after "skill:"."""
        return f"{self.name}@{self.version}"

    @property
    def datasets(self) -> set[str]:
        """The data sets it learnt from."""
        return set(self.card.get("data", {}).get("datasets", ()))

    @property
    def learnt(self) -> Learnt | None:
        """Hashes of the records it learnt from, None if it does not know. Raises BadInput if they are damaged."""
        path = self.path / LEARNT
        return Learnt.read(read_json(path, "list of hashes")) if path.exists() else None

    @property
    def damaged(self) -> Path | None:
        """The first of its weights and configurations that is not what its training left, by the card's SHA-256."""
        left: Mapping[str, str] = self.card.get("files", {})
        paths = {self.path / name: digest for name, digest in left.items()}
        return next((path for path, own in paths.items() if not path.is_file() or file_digest(path) != own), None)

    def check(self, base: Base) -> None:
        """Raises BadInput if it was trained on another base model, or a file is not what its training left."""
        if damaged := self.damaged:
            raise BadInput(
                f"The skill '{self.name}' is damaged: {damaged} is not what its training left, by its SHA-256; "
                "restore the file, or train the skill again."
            )
        if self.card["fingerprint"] != base.fingerprint:
            raise BadInput(
                f"The skill '{self.name}' was trained on '{self.card['base']}' ({self.card['fingerprint']}), not on "
                f"'{base.name}' ({base.fingerprint}): train it on this base, or use that one."
            )

    def updates(self, base: Base) -> dict[str, LowRank]:
        """Its low-rank updates by module, of one that can be blended.

        Raises BadInput if it cannot, or if it was trained on another base model.
        """
        raise BadInput(
            f"The skill '{self.name}' is {self.kind}, which is no sum of low-rank terms and cannot be blended: "
            f"use it alone, as skill:{self.name}, or name other skills."
        )

    @abstractmethod
    def applied(self, base: Base) -> AbstractContextManager[Base]:
        """Within the block the base that is yielded computes with it; afterwards `base` is as it was."""


class LowRankArtifact(Artifact):
    """A LoRA, rsLoRA or AdaLoRA adapter: what a bank blends."""

    kind = "a low-rank adapter"
    blendable = True

    def updates(self, base: Base) -> dict[str, LowRank]:
        """Its low-rank updates by module. Raises BadInput if it was trained on another base model."""
        self.check(base)
        return read_adapter(self.path)

    @contextmanager
    def applied(self, base: Base) -> Iterator[Base]:
        """The base with the update in its weights."""
        import torch

        from .bank import SkillBank

        with SkillBank(base.model, {self.name: self.updates(base)}).applied(torch.ones(1)):
            yield base


class PeftArtifact(Artifact):
    """Any other adapter that PEFT saves and loads: IA3, prompts, prefixes, DoRA and so on."""

    @property
    def kind(self) -> str:  # type: ignore[override]
        """What PEFT calls it."""
        return f"a PEFT adapter of type {read_json(self.path / CONFIG, 'adapter configuration').get('peft_type')}"

    @contextmanager
    def applied(self, base: Base) -> Iterator[Base]:
        """The base within PEFT's own model."""
        from peft import PeftModel

        self.check(base)
        with peft_applied(base, lambda model: PeftModel.from_pretrained(model, str(self.path))) as adapted:
            yield adapted


class ModelArtifact(Artifact):
    """All weights of a model, trained anew."""

    kind = "a whole model"

    @contextmanager
    def applied(self, base: Base) -> Iterator[Base]:
        """Another model in the place of the base."""
        from transformers import AutoModelForCausalLM

        self.check(base)
        there = base.model.device
        model: Any = AutoModelForCausalLM.from_pretrained(
            self.path, dtype=base.model.dtype, use_safetensors=True, trust_remote_code=False
        )
        yield replace(base, model=model.to(there).eval().requires_grad_(False))


@contextmanager
def peft_applied(base: Base, attach: Callable[[Any], Any]) -> Iterator[Base]:
    """Within the block the base within PEFT's own model, which `attach` puts around it; afterwards it is as it was."""
    before = dict(base.model.named_modules())
    adapted = attach(base.model)
    try:
        yield replace(base, model=adapted.eval())
    finally:
        if not adapted.active_peft_config.is_prompt_learning:
            adapted.unload()
        base.model.__dict__.pop("peft_config", None)
        assert dict(base.model.named_modules()) == before


def open_artifact(path: Path, name: str) -> Artifact:
    """The artifact in a folder. Raises BadInput if its card or configuration cannot be read."""
    card = read_json(path / CARD, "skill card")
    if not isinstance(card, dict) or not isinstance(card.get("adapter"), str):
        raise BadInput(f"{path / CARD} is not a readable skill card: make it again.")
    if not (path / CONFIG).exists():
        return (ModelArtifact if (path / "config.json").exists() else LowRankArtifact)(name, path, card)
    return (LowRankArtifact if is_low_rank(path) else PeftArtifact)(name, path, card)
