"""Rules for packs of trained skills: whole, safe, on one base, and with nothing beside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from ..adapters.artifact import CARD, LEARNT, Artifact
from ..adapters.library import Library
from ..adapters.peft_files import CONFIG, WEIGHTS, read_adapter
from ..contract.declarations import Pack
from ..inspection.finding import Finding, findings

KNOWN = {CARD, LEARNT, CONFIG, WEIGHTS, "README.md"}


def pack(declared: Pack, subject: str) -> Iterator[Finding]:
    """The rules for a pack, on its files alone: no base model is loaded."""
    yield from findings(subject, RULES, declared)


def _library(declared: Pack) -> Library:
    folder = declared.folder
    assert folder is not None, declared.package
    return Library(folder, declared.base)


def _skills(declared: Pack) -> Iterator[Artifact]:
    for versions in _library(declared).versions.values():
        yield from versions


def _there(declared: Pack) -> Iterator[str]:
    if declared.folder is None or not declared.folder.is_dir():
        yield f"The package {declared.package} has no folder 'skills': publish the pack again."
        return
    library = _library(declared)
    if not library.versions and not library.broken:
        yield f"The folder 'skills' of {declared.package} holds no skill: publish the pack again."
    yield from (f"The skill '{name}' cannot be read: {error}" for name, error in library.broken.items())


def _whole(declared: Pack) -> Iterator[str]:
    for skill in _skills(declared):
        if skill.damaged or not skill.card.get("files"):
            yield f"The skill '{skill.name}' is not what its training left, by its SHA-256: publish it again."


def _on_its_base(declared: Pack) -> Iterator[str]:
    for skill in _skills(declared):
        if skill.card.get("base") != declared.base:
            yield f"The skill '{skill.name}' was trained on '{skill.card.get('base')}', not on '{declared.base}'."


def _blendable(declared: Pack) -> Iterator[str]:
    for skill in _skills(declared):
        if not skill.blendable:
            yield f"The skill '{skill.name}' is {skill.kind}: put in low-rank adapters alone."
        else:
            read_adapter(skill.path)


def _nothing_beside(declared: Pack) -> Iterator[str]:
    for skill in _skills(declared):
        beside = sorted(path.name for path in skill.path.iterdir() if path.name not in KNOWN)
        if beside:
            yield f"The skill '{skill.name}' has {beside[0]} beside its adapter and card: take it away."


RULES: dict[str, Callable[[Pack], Iterable[str]]] = {
    "its skills are there": _there,
    "its skills are what their training left": _whole,
    "its skills are of its base": _on_its_base,
    "its skills are low-rank adapters with finite numbers": _blendable,
    "nothing lies beside its skills": _nothing_beside,
}
