"""What a search has evaluated, on disk: a later search repeats none of it, and an interrupted one goes on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path


class EvaluationCache:
    """Numbers by what they were computed for: a file of JSON lines, to which every evaluation is added at once.

    It holds hashes of parameters and the numbers found, and nothing of any record. A last line that was
    broken off is left out. It may be deleted at any time.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, dict[int, float]] = {}
        text = path.read_text("ascii", errors="replace") if path.exists() else ""
        self._begin = "\n" if text and not text.endswith("\n") else ""
        for line in text.splitlines():
            self._read(line)

    def get(self, key: str) -> Mapping[int, float]:
        """What is known for a key, by place; empty if nothing is."""
        return self._known.get(key, {})

    def put(self, key: str, values: Mapping[int, float]) -> None:
        """Note values for a key beside those it has."""
        self._known.setdefault(key, {}).update(values)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="ascii") as file:
            file.write(self._begin + json.dumps({"at": key, "values": values}) + "\n")
        self._begin = ""

    def _read(self, line: str) -> None:
        try:
            entry = json.loads(line)
            values = {int(place): float(value) for place, value in entry["values"].items()}
            self._known.setdefault(entry["at"], {}).update(values)
        except (ValueError, KeyError, TypeError, AttributeError):
            return
