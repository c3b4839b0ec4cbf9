"""JSON documents of the store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from stat import S_ISREG
from types import MappingProxyType
from typing import Any

from ..errors import BadInput
from .files import atomic_file

LARGEST = 1 << 30
Kinds = Mapping[str, type | tuple[type, ...]]


def write_json(path: Path, value: Any) -> None:
    """Write `value` as readable JSON; the file appears whole."""
    with atomic_file(path) as part:
        part.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path, what: str) -> Any:
    """Read a JSON file. Raises BadInput, naming `what` it should be, if it is missing, broken or no plain file."""
    try:
        if not S_ISREG((found := path.stat()).st_mode) or found.st_size > LARGEST:  # a pipe would be waited for
            raise ValueError
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput(f"There is no {what} at {path}.") from None
    except (OSError, ValueError, RecursionError) as error:
        place = f":{error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise BadInput(f"{path}{place} is not a readable {what}: make it again.") from None


def read_object(path: Path, what: str, needed: Kinds, optional: Kinds = MappingProxyType({})) -> dict[str, Any]:
    """Read a JSON object whose fields have these types; an optional one may be missing or null.

    Raises BadInput, naming the file and the field, for another document.
    """
    found = read_json(path, what)
    if not isinstance(found, dict):
        raise BadInput(f"{path} is not a readable {what}, for it is no JSON object: make it again.")
    for name, kind in {**needed, **optional}.items():
        value = found.get(name)
        if not isinstance(value, kind) and (name in needed or value is not None):
            raise BadInput(f"{path} is not a readable {what}, its field '{name}' is wrong: make it again.")
    return found
