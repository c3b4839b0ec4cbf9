"""The library: every trained skill of one base model, with all its versions."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..contract.declarations import Pack, Skill
from ..errors import BadInput, unknown
from ..hashing import file_digest, sha256
from ..store.files import part_directory, refused, settle
from ..store.leftovers import set_aside
from ..store.locks import locked
from ..workspace import Workspace
from .artifact import CARD, LEARNT, Artifact, open_artifact
from .peft_files import is_low_rank, read_adapter

if TYPE_CHECKING:
    from ..prompts.encoding import Encoder

VERIFIED = (".safetensors", ".json")
LEAST = 4  # hexadecimal digits of a version that tell it from others well enough


@dataclass
class Library:
    """The skills trained on one base, in the store and in packs.

    The newest version of a skill lies in the folder of its name, an older one in "NAME@VERSION". Cards are read
    once, when they are first asked for; one that cannot be read is in `broken`, and stops nothing but its own skill.
    `packs` are folders like it that come in distributions: nothing is changed there.
    """

    folder: Path
    base: str
    say: Callable[[str], None] = lambda _: None
    packs: Sequence[Path] = ()
    broken: dict[str, BadInput] = field(default_factory=dict)

    @cached_property
    def versions(self) -> Mapping[str, Sequence[Artifact]]:
        """Every skill's trainings, the newest first, and after those of the store those of packs."""
        folders, found = self._folders(), self._read()
        while folders != (now := self._folders()):  # a training ended, and folders got other names
            folders, found = now, self._read()
        for trained in found.values():
            trained.sort(key=lambda each: ("@" not in each.path.name, str(each.card.get("created", ""))), reverse=True)
        for pack in (Library(folder, self.base) for folder in self.packs):
            for name, others in pack.versions.items():
                found.setdefault(name, []).extend(others)
            self.broken = {**pack.broken, **self.broken}
        return {name: trained for name, trained in found.items() if trained}

    def _folders(self) -> dict[str, int]:
        """The folders that are there, and which each is: another may take its name."""
        if not self.folder.is_dir():
            return {}
        return {entry.name: entry.inode() for entry in os.scandir(self.folder) if not entry.name.startswith(".")}

    def _read(self) -> dict[str, list[Artifact]]:
        found: dict[str, list[Artifact]] = {}
        self.broken.clear()
        for card in sorted(self.folder.glob(f"[!.]*/{CARD}")) if self.folder.is_dir() else []:
            name = card.parent.name.partition("@")[0]
            try:
                found.setdefault(name, []).append(open_artifact(card.parent, name))
            except BadInput as error:
                self.broken.setdefault(name, error)
        return found

    def get(self, reference: str) -> Artifact:
        """The newest version of "NAME", or the one that "NAME@VERSION" names.

        The first digits of a version are enough. Raises BadInput for an unknown skill or version.
        """
        name, _, version = reference.partition("@")
        if name not in self.versions and name in self.broken:
            raise self.broken[name]
        if name not in self.versions:
            known, remedy = self.versions, f"Train it first: mdkif train {name} --base {self.base}."
            raise unknown("trained skill", name, known, remedy)
        trained = self.versions[name]
        if not version:
            return trained[0]
        for each in trained:
            if len(version) >= LEAST and each.version.startswith(version):
                return each
        raise unknown("version", reference, (each.reference for each in trained), "'mdkif list trained' shows all.")

    def choose(self, references: Sequence[str] | None = None) -> dict[str, Artifact]:
        """The skills named, by name, or the newest version of all that can be blended.

        Raises BadInput for an unknown one, one named twice, and if there is none.
        """
        if references is None:
            newest = {name: trained[0] for name, trained in self.versions.items()}
            for name, error in self.broken.items():
                self.say(f"The skill '{name}' is left out: {error}")
            chosen = {name: each for name, each in newest.items() if each.blendable}
        else:
            chosen = {}
            for each in map(self.get, dict.fromkeys(references)):
                if each.name in chosen:
                    raise BadInput(f"The skill '{each.name}' is named in two versions: blend one of them.")
                chosen[each.name] = each
        if not chosen:
            raise BadInput(f"No skill is trained on '{self.base}' yet: begin with 'mdkif train SKILL'.")
        return chosen

    @contextmanager
    def adding(self, card: dict[str, Any], replace: bool = False) -> Iterator[Path]:
        """Yield a folder for the files of a new version, the newest of the skill that its card names.

        When the block ends, the card is completed with the version, the SHA-256 of the files and, of low-rank
        adapters, the ranks, and all appears at once. The version that was the newest is kept, and that is said,
        unless `replace` is true. Others that add to the skill wait.
        """
        newest = self.folder / card["skill"]
        with part_directory(newest) as part:
            yield part
            if is_low_rank(part):
                ranks = [update.rank for update in read_adapter(part).values()]
                card["rank"] = {"mean": sum(ranks) / len(ranks), "least": min(ranks), "most": max(ranks)}
            card["adapter"] = file_digest(*sorted(part.glob("*.safetensors")))
            card["files"] = {file.name: sha256(file) for file in sorted(part.iterdir()) if file.suffix in VERIFIED}
            card["files"].pop(LEARNT, None)  # which may be deleted before a skill is passed on
            (part / CARD).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
            settle(part)
            with locked(newest, self.say):
                self._put(part, card["skill"], card["adapter"], replace)

    def make_newest(self, version: Artifact) -> Artifact:
        """An older version in the place of the newest, which is kept."""
        newest = self.folder / version.name
        with refused(newest), locked(newest, self.say):
            if (place := version.place) != newest:
                self._put(place, version.name, version.version, replace=False)
        return open_artifact(newest, version.name)

    def _put(self, made: Path, name: str, version: str, replace: bool) -> None:
        """Make a folder the newest version of a skill.

        It gets the name of its version first and the older one makes way only then, so that whoever reads finds one
        of the two at any moment, and a process that is killed leaves nothing that could not be used.
        """
        newest, own = self.folder / name, self.folder / f"{name}@{version}"
        with part_directory(newest) as unwanted:
            if made != own:
                if own.exists():  # of the same training, and damaged
                    own.replace(unwanted / "same")
                made.replace(own)
            if newest.exists():
                self._make_way(newest, version, replace, unwanted / "older")
            own.replace(newest)
            settle(self.folder, alone=True)

    def _make_way(self, newest: Path, version: str, replace: bool, unwanted: Path) -> None:
        """Keep the version that was the newest under its own name, unless it is the same or to be replaced."""
        try:
            older = open_artifact(newest, newest.name)
        except BadInput as error:
            self.say(f"{error} What lay there is kept at {set_aside(newest, self.folder.parents[1])}.")
            return
        kept = self.folder / older.reference
        if replace or older.version == version or kept.exists():
            newest.replace(unwanted)
        else:
            newest.replace(kept)
            self.say(f"The older version is kept; 'mdkif remove skill:{kept.name}' takes it away.")


def library_of(workspace: Workspace) -> Library:
    """The library of the workspace's base model, which need not be loaded for it."""
    label = workspace.base_label
    packs = [pack.folder for pack in packs_of(workspace) if pack.base == label and pack.folder]
    return Library(workspace.store.skills(label), label, workspace.progress.note, packs=packs)


def packs_of(workspace: Workspace) -> list[Pack]:
    """The packs that are installed."""
    return [pack for pack, _ in workspace.plugins.all(Pack)]


def check_prompts(workspace: Workspace, artifacts: Iterable[Artifact], encoder: Encoder) -> None:
    """Raises BadInput for a skill that was trained with another format of prompts, or another wording of its own."""
    declared = {skill.name: skill for skill, _ in workspace.plugins.all(Skill)}
    for artifact in artifacts:
        learnt = artifact.card.get("format", encoder.prompt_format)
        if learnt != encoder.prompt_format:
            raise BadInput(
                f"The skill '{artifact.name}' was trained with {learnt} prompts, and these are "
                f"{encoder.prompt_format}: add --format {learnt}, or train it again."
            )
        skill = declared.get(artifact.name)
        if skill is None or "template" not in artifact.card:
            continue
        if workspace.template(skill).digest != artifact.card["template"]:
            raise BadInput(
                f"The skill '{artifact.name}' was trained with another wording of its template '{skill.template}': "
                "restore that, or train the skill again."
            )
