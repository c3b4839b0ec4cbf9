"""The store: models, skills, compositions and runs on disk, where everything appears whole or not at all."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import BadInput, MdkifError


def default_store() -> Path:
    """`$MDKIF_STORE`, or `./mdkif-store`."""
    return Path(os.environ.get("MDKIF_STORE") or "mdkif-store")


class Store:
    """Where things lie under the root of a store; directories are made only when something is written."""

    def __init__(self, root: Path | str | None = None) -> None:
        self.root = Path(root) if root is not None else default_store()

    @property
    def templates(self) -> Path:
        """The user's own templates, which take precedence over the plugins'."""
        return self.root / "templates"

    def model(self, name: str) -> Path:
        """The Hugging Face directory of a pulled base model."""
        return self.root / "models" / name

    def skills(self, base: str) -> Path:
        """The adapters trained on a base model, one directory each."""
        return self.root / "skills" / base

    def skill(self, base: str, name: str) -> Path:
        """The PEFT adapter directory of one trained skill."""
        return self.skills(base) / name

    def composition(self, base: str, name: str) -> Path:
        """The JSON file of one composition."""
        return self.root / "compositions" / base / f"{name}.json"

    def run(self, name: str) -> Path:
        """The directory of unfinished work, from which it resumes."""
        return self.root / "runs" / name

    def journal(self, base: str, name: str) -> Path:
        """The file of what stage II evaluated on one adaptation set."""
        return self.root / "journals" / base / f"{name}.jsonl"

    def report(self, name: str) -> Path:
        """The JSON file of one evaluation."""
        return self.root / "reports" / f"{name}.json"


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that replaces it only if the block succeeds.

    Raises MdkifError, naming the file, if the disk refuses.
    """
    with _refused(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.stem}-{os.urandom(16).hex()}{path.suffix}")
        try:
            part.touch(exist_ok=False)
            yield part
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def whole_directory(path: Path) -> Iterator[Path]:
    """Yield a temporary directory beside `path` that replaces it only if the block succeeds.

    Raises MdkifError, naming the directory, if the disk refuses.
    """
    with _refused(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}-{os.urandom(16).hex()}")
        old = part.with_name(part.name + "-old")
        try:
            part.mkdir()
            yield part
            if path.exists():
                path.replace(old)
            part.replace(path)
        finally:
            if old.exists() and not path.exists():
                old.replace(path)
            shutil.rmtree(part, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as readable JSON; the file appears whole."""
    with whole_file(path) as part:
        part.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path, what: str) -> Any:
    """Read a JSON file. Raises BadInput, naming `what` it should be, if it is missing or broken."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput(f"There is no {what} at {path}.") from None
    except (OSError, ValueError) as error:
        place = f":{error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise BadInput(f"{path}{place} is not a readable {what}: make it again.") from None


@contextmanager
def _refused(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        reason = _refusal(error)
        if reason is None:
            raise
        raise MdkifError(
            f"{path} could not be written ({reason}): nothing before it was lost; "
            "free space or choose another place and run the command again."
        ) from error


def _refusal(error: Exception) -> str | None:
    """What the operating system said, whether Python or safetensors passes it on; None for other errors."""
    if isinstance(error, OSError):
        return None if error.filename is None and error.errno is None else error.strerror
    said = re.search(r"I/O error: (.*) \(os error", str(error))
    return said[1] if said and type(error).__name__ == "SafetensorError" else None
