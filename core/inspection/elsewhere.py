"""Another Python process, where sets and dictionaries of texts have another order, and nothing was imported before."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass
from importlib import import_module
from io import StringIO
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from ..contract.declarations import Dataset
from ..contract.validation import declared_by, hooks_of
from ..data.conversion import ConversionReport, convert
from ..data.records import Record
from .surroundings import offline

HEAVY = ("torch", "transformers", "peft", "datasets")
BEGUN = 50
"""So many records are read, and left, before all are: what a converter keeps of them must change nothing."""


@dataclass
class Digest:
    """What a stream of records is, in a few numbers: equal records in an equal order have the same."""

    records: int = 0
    ordered: str = ""
    in_any_order: int = 0
    ids: int = 0

    def add(self, record: Record) -> None:
        """Take in the next record."""
        own = hashlib.blake2b(repr(tuple(vars(record).values())).encode("utf-8", "surrogatepass")).digest()
        self.records += 1
        self.ordered = hashlib.blake2b(self.ordered.encode() + own, digest_size=16).hexdigest()
        self.in_any_order = (self.in_any_order + int.from_bytes(own[:8])) % 2**64
        name = hashlib.blake2b(record.id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        self.ids = (self.ids + int.from_bytes(name)) % 2**64


class Elsewhere:
    """The process: begun when it is first asked, and ended with the block."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._known: dict[str, dict[str, Any]] = {}

    def __enter__(self) -> Elsewhere:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.communicate()

    def digest(self, dataset: Dataset, path: Path, options: Mapping[str, Any]) -> Digest | str:
        """What the data set's converter makes of the files there, or the error it ends in."""
        asked = {**asdict(dataset), "options": dict.fromkeys(dataset.options, "")}
        found = self._ask({"dataset": asked, "path": str(path.resolve()), "options": dict(options)})
        return found["error"] if "error" in found else Digest(**found)

    def imported(self, module: str) -> dict[str, Any]:
        """What happens when a plugin's module is imported and its hooks are called.

        `heavy` are the libraries it imports, and `printed` whether it prints.
        """
        if module not in self._known:  # a second import would do nothing
            self._known[module] = self._ask({"module": module})
        return self._known[module]

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        process = self._process = self._process or self._begun()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(request, default=str) + "\n")
            process.stdin.flush()
            answer: dict[str, Any] = json.loads(process.stdout.readline())
        except (OSError, ValueError):
            self._process = None
            process.communicate()
            return {
                "error": f"the process ended with the exit code {process.returncode}",
                "heavy": [],
                "printed": False,
            }
        return answer

    def _begun(self) -> subprocess.Popen[str]:
        seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
        path = os.pathsep.join(dict.fromkeys(each or str(Path.cwd()) for each in sys.path))
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"}
        return subprocess.Popen(
            [sys.executable, "-m", __name__],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
        )


class _Noted:
    """A finder of modules that finds none, and notes which heavy libraries are looked for."""

    def __init__(self) -> None:
        self.heavy: set[str] = set()

    def find_spec(self, name: str, *_: object) -> None:
        """Refuse a heavy library, which then takes no time to be noted."""
        if (library := name.partition(".")[0]) in HEAVY:
            self.heavy.add(library)
            raise ImportError(f"{library} is not imported while a plugin declares")


def serve(requests: Iterable[str], answers: TextIO) -> None:
    """Answer requests, a JSON document a line, until there are no more."""
    for line in requests:
        request = json.loads(line)
        answer = _imported(request["module"]) if "module" in request else _converted(**request)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _converted(dataset: dict[str, Any], path: str, options: dict[str, Any]) -> dict[str, Any]:
    digest, declared = Digest(), Dataset(**dataset)
    try:
        with redirect_stdout(sys.stderr), offline():
            begun = convert(declared, Path(path), ConversionReport(skip_bad=True), options)
            next(islice(begun, BEGUN, None), None)
            del begun
            for record in convert(declared, Path(path), ConversionReport(skip_bad=True), options):
                digest.add(record)
    except (Exception, SystemExit) as error:
        return {"error": f"{type(error).__name__}"}
    return asdict(digest)


def _imported(module: str) -> dict[str, Any]:
    noted, printed = _Noted(), StringIO()
    sys.meta_path.insert(0, noted)
    try:
        with redirect_stdout(printed), redirect_stderr(printed):
            hooks = hooks_of(import_module(module))
            declared_by(hooks, lambda name: hooks[name]())
    except (Exception, SystemExit):
        pass  # what is refused here may be needed; whether it loads is another rule
    finally:
        sys.meta_path.remove(noted)
    return {"heavy": sorted(noted.heavy), "printed": bool(printed.getvalue().strip())}


if __name__ == "__main__":
    serve(sys.stdin, sys.stdout)
