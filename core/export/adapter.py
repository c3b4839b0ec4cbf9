"""One skill as a PEFT folder: an adapter of others brought into the store, and a skill taken out of it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..adapters.artifact import Artifact
from ..adapters.library import library_of
from ..adapters.low_rank import LowRank
from ..adapters.peft_files import CONFIG, WEIGHTS, check_patterns, read_adapter, read_config, write_lora
from ..contract.declarations import Skill
from ..contract.explanation import line
from ..errors import BadInput
from ..store.files import atomic_directory
from ..store.manifest import write_manifest
from ..workspace import Workspace

NAME = r"[a-z0-9]+(-[a-z0-9]+)*"
LONGEST = 200


def import_adapter(
    workspace: Workspace, directory: Path, name: str, *, licence: str, title: str = "", replace: bool = False
) -> Artifact:
    """A LoRA, rsLoRA or AdaLoRA that PEFT saved elsewhere becomes the newest version of the skill `name`.

    Of the folder only the configuration and the safetensors file are read. What is kept is a plain LoRA with the same
    product, and a card that says where it comes from and claims nothing else. `licence` is its owner's. Raises
    BadInput, naming the folder, for files that are not safe or cannot be read, numbers that are not finite, another
    kind of adapter, and one that does not fit the base model.
    """
    if not re.fullmatch(NAME, name):
        raise BadInput(f"A skill cannot be named '{name}': use lower-case letters, digits and single hyphens.")
    if not (licence := line(licence, LONGEST)):
        raise BadInput(f"The licence of {directory} is not known: add --licence with its owner's terms.")
    library = library_of(workspace)
    config = _checked(directory)
    updates = read_adapter(directory)
    base = workspace.base
    _check_fit(directory, base.model, updates)
    stated = line(str(config.get("base_model_name_or_path") or ""), LONGEST)
    stated = Path(stated).name if stated.startswith(("/", ".", "~")) else stated  # a folder there says nothing here
    titles = [skill.title for skill, _ in workspace.plugins.all(Skill) if skill.name == name]
    card: dict[str, Any] = {
        "skill": name,
        "title": line(title, LONGEST) or next(iter(titles), f"{name}, trained elsewhere"),
        "imported": {"kind": config["peft_type"], "stated_base": stated, "licence": licence},
        "base": base.name,
        "fingerprint": base.fingerprint,
        "created": datetime.now(UTC).isoformat(),
    }
    if stated and Path(stated).name != base.name:
        workspace.progress.note(f"It says that it was trained on '{stated}', and fits '{base.name}'.")
    with library.adding(card, replace) as part:
        write_lora(part, updates, base.name)
        (part / "README.md").write_text(_readme(card), encoding="utf-8")
    return library_of(workspace).get(name)


def export_adapter(workspace: Workspace, reference: str, directory: Path) -> dict[str, Any]:
    """Write one skill, "NAME" or "NAME@VERSION", as a folder that PEFT loads; returns what was written.

    A low-rank adapter is written as a plain LoRA with the same product, another adapter as it is. No model is loaded.
    Raises BadInput for an unknown skill, for a whole model, and if `directory` already holds something.
    """
    check_new(directory)
    artifact = library_of(workspace).get(reference)
    artifact.check_files()
    if not (artifact.place / CONFIG).exists():
        raise BadInput(f"The skill '{reference}' is {artifact.kind}, no adapter: transformers loads {artifact.path}.")
    card = artifact.card
    facts = {"skill": artifact.name, "version": artifact.version, "format": "peft"}
    facts |= {key: card[key] for key in ("base", "fingerprint", "imported") if key in card}
    with atomic_directory(directory, private=False) as part:
        if artifact.blendable:
            write_lora(part, read_adapter(artifact.place, artifact.card.get("files", {})), card["base"])
        else:
            for file in (artifact.place / CONFIG, *artifact.place.glob("*.safetensors")):
                shutil.copy(file, part)
        write_manifest(part, facts)
    return {**facts, "directory": str(directory)}


def check_new(directory: Path) -> None:
    """Raises BadInput for a folder that holds something."""
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise BadInput(f"The folder {directory} is not empty: export into a new one, so that nothing is lost.")


def _checked(directory: Path) -> Mapping[str, Any]:
    """The configuration of a folder of others. Raises BadInput for one that reading it would not survive."""
    if not (directory / CONFIG).is_file():
        raise BadInput(f"There is no PEFT adapter at {directory}: give the folder that holds {CONFIG} and {WEIGHTS}.")
    if not (directory / WEIGHTS).is_file():
        others = sorted(path.name for path in directory.glob("adapter_model*"))
        has = f"its weights as {others[0]}, which can run code when it is read" if others else "no weights"
        raise BadInput(f"The adapter at {directory} has {has}: save it with PEFT as {WEIGHTS}.")
    config = read_config(directory)
    check_patterns(config, directory)
    return config


def _check_fit(directory: Path, model: Any, updates: Mapping[str, LowRank]) -> None:
    from ..adapters.bank import SkillBank

    if not updates:
        raise BadInput(f"The adapter at {directory} updates no module: there is nothing to import.")
    known = {name for name, _ in model.named_modules()}
    if strange := next((module for module in updates if module not in known), ""):
        raise BadInput(
            f"The adapter at {directory} changes {line(strange, 80)}, which this base model does not have: "
            "give the one it was trained on."
        )
    SkillBank(model, {directory.name: updates})


def _readme(card: Mapping[str, Any]) -> str:
    """A card for people."""
    return (
        f"# {card['title']}: the skill `{card['skill']}` for {card['base']}\n\n"
        "An adapter that was trained elsewhere and imported into mdkif. What it learnt from, and how well, nobody\n"
        f"knows here. Its licence, as stated: {card['imported']['licence']}.\n"
    )
