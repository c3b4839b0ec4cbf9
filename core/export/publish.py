"""Trained skills as a distribution that others install: cards, adapters and a hook, and nothing of any record."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..adapters.artifact import CARD, LEARNT, Artifact
from ..adapters.library import library_of
from ..adapters.peft_files import CONFIG, WEIGHTS
from ..contract.declarations import Dataset
from ..contract.explanation import line
from ..errors import BadInput
from ..store.files import atomic_directory
from ..workspace import Workspace
from .adapter import NAME, check_new

TEMPLATES = Path(__file__).resolve().parents[2] / "templates" / "pack"
FILES = (CARD, CONFIG, WEIGHTS, "README.md")
LONGEST = 200
VERSION = r"\d+(\.\d+)*((a|b|rc|\.post|\.dev)\d+)?"
LICENCE = r"[\w.+ ()-]+"


def publish(
    workspace: Workspace,
    skills: Sequence[str],
    directory: Path,
    *,
    name: str,
    licence: str,
    title: str = "",
    version: str = "0.1.0",
    hashes: bool = False,
) -> dict[str, Any]:
    """Write the distribution `mdkif-pack-NAME` of these skills, "NAME" or "NAME@VERSION", into `directory`.

    `licence` is an SPDX expression, the terms of what is passed on. With `hashes` what each skill learnt from goes
    with it as keyed hashes, so that whoever evaluates it is told of records that it has seen; who holds a text can then
    tell whether it was learnt from. No model is loaded. Raises BadInput for a name, version or licence that cannot be,
    unknown or damaged skills, one that cannot be blended, and if `directory` holds something.
    """
    _check(name, version, licence)
    check_new(directory)
    if not skills:
        raise BadInput("There is no skill to publish: name one that 'mdkif list trained' shows.")
    chosen = library_of(workspace).choose(skills)
    for artifact in chosen.values():
        _check_whole(artifact)
    data = {dataset.name: dataset for dataset, _ in workspace.plugins.all(Dataset)}
    read = sorted({dataset for artifact in chosen.values() for dataset in artifact.datasets})
    facts = {
        "name": name,
        "dist": f"mdkif-pack-{name}",
        "package": f"mdkif_pack_{name.replace('-', '_')}",
        "title": _plain(title) or f"Trained skills for {workspace.base_label}",
        "version": version,
        "licence": licence,
        "base": workspace.base_label,
        "skills": [_row(artifact) for artifact in chosen.values()],
        "terms": list(_terms(read, data)),
    }
    with atomic_directory(directory, private=False) as part:
        _render(part, facts)
        for skill, artifact in chosen.items():
            there = part / str(facts["package"]) / "skills" / skill
            there.mkdir(parents=True)
            for file in (*FILES, *((LEARNT,) if hashes else ())):
                if (artifact.path / file).is_file():
                    shutil.copyfile(artifact.path / file, there / file)
    size = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
    return {"dist": facts["dist"], "base": facts["base"], "skills": {k: a.version for k, a in chosen.items()},
            "licence": licence, "learnt from": facts["terms"], "bytes": size, "directory": str(directory)}  # fmt: skip


def _check(name: str, version: str, licence: str) -> None:
    if not re.fullmatch(NAME, name):
        raise BadInput(f"A pack cannot be named '{name}': use lower-case letters, digits and single hyphens.")
    if not re.fullmatch(VERSION, version):
        raise BadInput(f"A pack cannot have the version '{line(version, 40)}': write it as 0.1.0.")
    if not re.fullmatch(LICENCE, licence):
        raise BadInput(f"'{line(licence, 60)}' is no licence expression: write it as SPDX does, such as CC-BY-4.0.")


def _check_whole(artifact: Artifact) -> None:
    if not artifact.blendable:
        raise BadInput(f"The skill '{artifact.name}' is {artifact.kind}: a pack holds what can be blended.")
    if damaged := artifact.damaged:
        raise BadInput(
            f"The skill '{artifact.name}' cannot be published: {damaged} is not what its training left, by its "
            "SHA-256; restore the file, or train the skill again."
        )


def _row(artifact: Artifact) -> dict[str, Any]:
    """What the page of a pack says of a skill."""
    card: Mapping[str, Any] = artifact.card
    metrics: Mapping[str, Any] = card.get("metrics", {})
    return {
        "skill": artifact.name,
        "title": _plain(card.get("title", "")),
        "sources": ", ".join(sorted(artifact.datasets)) or "not known",
        "records": card.get("data", {}).get("records", ""),
        "steps": card.get("steps", ""),
        "before": _number(metrics.get("dev_loss_before")),
        "after": _number(metrics.get("dev_loss")),
    }


def _terms(read: Sequence[str], data: Mapping[str, Dataset]) -> Iterator[str]:
    """The terms of each data set, as its plugin states them."""
    for name in read:
        if name not in data:
            yield f"{name}: its terms are not known here."
            continue
        dataset = data[name]
        yield _plain(f"{dataset.title} (`{name}`): {dataset.licence}; {dataset.access}; {dataset.homepage}")


def _render(part: Path, facts: Mapping[str, Any]) -> None:
    import jinja2
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    for template in sorted(TEMPLATES.rglob("*.jinja")):
        place = template.relative_to(TEMPLATES)
        path = part / str(place.with_suffix("")).replace("__package__", str(facts["package"]))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(environment.get_template(place.as_posix()).render(facts), encoding="utf-8", newline="\n")


def _plain(text: object) -> str:
    """One line that can stand in a table, a TOML string and a docstring."""
    return line(str(text), LONGEST).replace("\\", "").replace('"', "'").replace("|", "/")


def _number(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else ""
