"""Manifests: the size and SHA-256 of every file of a folder, so that what is read is known to be what was written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import BadInput
from ..hashing import is_sha256, sha256
from .documents import read_object

MANIFEST = "mdkif.json"
HEADER = 1 << 27


def write_manifest(directory: Path, facts: Mapping[str, Any]) -> None:
    """Write facts about a folder, with its files as they are now."""
    files = sorted(path for path in directory.rglob("*") if path.is_file() and path.name != MANIFEST)
    names = {path.relative_to(directory).as_posix(): path for path in files}
    sizes = {name: path.stat().st_size for name, path in names.items()}
    hashes = {name: sha256(path) for name, path in names.items()}
    text = json.dumps({**facts, "bytes": sizes, "files": hashes}, indent=2, ensure_ascii=False)
    (directory / MANIFEST).write_text(text + "\n", encoding="utf-8")


def problem(directory: Path, every_byte: bool = False) -> str:
    """What is wrong with a folder that has a manifest, or with a model of an older mdkif that has none; "" if nothing.

    Without `every_byte` only what is quick for any size: which files there are, and how long they are.
    """
    manifest = directory / MANIFEST
    try:
        found = read_object(manifest, "manifest", {"files": dict}, {"bytes": dict}) if manifest.exists() else {}
    except BadInput as error:
        return str(error)
    for name, recorded in found.get("files", {}).items():
        path = directory / name
        if not path.resolve().is_relative_to(directory.resolve()) or not path.is_file():
            return f"{path} is missing"
        if path.stat().st_size != found.get("bytes", {}).get(name, path.stat().st_size):
            return f"{path} was cut short, or has grown"
        if every_byte and not is_sha256(path, str(recorded)):
            return f"{path} is not what was written, by its SHA-256"
    return next((each for each in map(_cut_short, sorted(directory.glob("[!.]*.safetensors"))) if each), "")


def _cut_short(path: Path) -> str:
    """What is wrong with a file of weights by its own header, which says how long it is."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(length, HEADER)))
        ends = [each["data_offsets"][1] for name, each in header.items() if name != "__metadata__"]
        whole = path.stat().st_size == 8 + length + max(ends, default=0)
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        whole = False
    return "" if whole else f"{path} was cut short, or is no file of weights"
