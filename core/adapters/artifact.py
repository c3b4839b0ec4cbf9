"""The artifact: what was trained, on which base and records, whether it can be blended, and how it is applied.

A skill's artifact is a folder in a store: the files of the trained thing, as its own library saves them, and a card.
"""

from __future__ import annotations

import re
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ..data.learnt import Learnt
from ..errors import BadInput
from ..hashing import file_digest, is_sha256
from ..store.documents import read_json, read_object
from ..store.layout import is_name
from .low_rank import LowRank
from .peft_files import CONFIG, NAMES, WEIGHTS, check_patterns, is_low_rank, read_adapter, read_config

if TYPE_CHECKING:
    from ..models.base import Base

CARD, LEARNT = "skill.json", "learnt.json"
NEEDED = {"adapter": str, "base": str, "fingerprint": str}
OPTIONAL = {"data": dict, "metrics": dict, "settings": dict, "files": dict, "imported": dict, "rank": dict,
            "title": str, "template": str, "format": str, "work": str, "created": str, "trainer": str}  # fmt: skip


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
        path = self.place / LEARNT
        return Learnt.read(read_json(path, "list of hashes")) if path.exists() else None

    @property
    def place(self) -> Path:
        """Where it lies now: a newer version may have taken its place since its card was read."""
        for path in (self.path, self.path.with_name(self.reference), self.path.with_name(self.name)):
            with suppress(BadInput):
                if open_artifact(path, self.name).version == self.version:
                    return path
        return self.path

    @property
    def damaged(self) -> Path | None:
        """The first of its weights and configurations that is not what its training left, by the card's SHA-256."""
        while True:
            place = self.place
            found = self._damaged_in(place)
            if found is None or self.place == place:  # and nobody moved it while it was read
                return found

    def _damaged_in(self, place: Path) -> Path | None:
        if "files" not in self.card:  # of an older mdkif, which kept that of the weights alone
            weights = sorted(place.glob("*.safetensors"))
            return None if weights and file_digest(*weights) == self.version else place / WEIGHTS
        left = {place / name: own for name, own in self.card["files"].items()}
        return next((path for path, own in left.items() if not is_sha256(path, own)), None)

    def check_files(self) -> None:
        """Raises BadInput if a file is not what its training left."""
        if damaged := self.damaged:
            raise BadInput(
                f"The skill '{self.name}' is damaged: {damaged} is not what its training left, by its SHA-256; "
                "restore the file, or train the skill again."
            )

    def check(self, base: Base) -> None:
        """Raises BadInput if it was trained on another base model, or a file is not what its training left."""
        self.check_files()
        if not base.is_of(self.card["fingerprint"]):
            raise BadInput(
                f"The skill '{self.name}' was trained on '{self.card['base']}' ({self.card['fingerprint']}), not on "
                f"'{base.name}' ({base.fingerprint}){base.told_apart(self.card['fingerprint'])}: "
                "train it on this base, or use that one."
            )

    def updates(self, base: Base) -> dict[str, LowRank]:
        """Its low-rank updates by module, of one that can be blended.

        Raises BadInput if it cannot, or if it was trained on another base model.
        """
        raise BadInput(
            f"The skill '{self.name}' is {self.kind}, which is no sum of low-rank terms and cannot be blended: "
            f"use it alone, as skill:{self.name}, or name other skills."
        )

    def read(self) -> dict[str, LowRank]:
        """Its low-rank updates, whatever the base model, of one that can be blended. Raises BadInput if it cannot."""
        raise BadInput(f"The skill '{self.name}' is {self.kind}, and no sum of low-rank terms.")

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
        return self.read()

    def read(self) -> dict[str, LowRank]:
        """The same, whatever the base model. Raises BadInput if they are not what its training left."""
        while True:
            place = self.place
            try:
                return read_adapter(place, self.card.get("files", {}))
            except BadInput:
                if self.place == place:  # and nobody moved it while it was read
                    raise

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
        return f"a PEFT adapter of type {read_config(self.place).get('peft_type')}"

    @contextmanager
    def applied(self, base: Base) -> Iterator[Base]:
        """The base within PEFT's own model."""
        from peft import PeftModel

        self.check(base)
        place = self.place
        check_patterns(read_config(place), place, NAMES)
        with peft_applied(base, lambda model: PeftModel.from_pretrained(model, str(place))) as adapted:
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
            self.place, dtype=base.model.dtype, use_safetensors=True, trust_remote_code=False
        )
        yield replace(base, model=model.to(there).eval().requires_grad_(False))


@contextmanager
def peft_applied(base: Base, attach: Callable[[Any], Any]) -> Iterator[Base]:
    """Within the block the base within PEFT's own model, which `attach` puts around it; afterwards it is as it was."""
    before = dict(base.model.named_modules())
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)  # PEFT's to mend
        adapted = attach(base.model)
    try:
        yield replace(base, model=adapted.eval())
    finally:
        if not adapted.active_peft_config.is_prompt_learning:
            adapted.unload()
        base.model.__dict__.pop("peft_config", None)
        assert dict(base.model.named_modules()) == before


def open_artifact(path: Path, name: str) -> Artifact:
    """The artifact in a folder. Raises BadInput if its card or configuration cannot be read, or is another's."""
    card = read_object(path / CARD, "skill card", NEEDED, OPTIONAL)
    if not re.fullmatch("[0-9a-f]{4,64}", card["adapter"]) or not all(map(is_name, card.get("files", {}))):
        raise BadInput(f"{path / CARD} is not a readable skill card: make it again.")
    if not (path / CONFIG).exists():
        return (ModelArtifact if (path / "config.json").exists() else LowRankArtifact)(name, path, card)
    return (LowRankArtifact if is_low_rank(path) else PeftArtifact)(name, path, card)
