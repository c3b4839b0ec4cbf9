"""The data sets a skill or task is given: which path belongs to which, and their records merged."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

from ..contract.declarations import PromptedSpec
from ..errors import BadInput

Sources = Mapping[str, Path]


def check_sources(declared: PromptedSpec, sources: Sources) -> None:
    """Raises BadInput if no path is given to a skill or task, or one for a data set it does not read."""
    for name in sources:
        declared.source(name)
    if not sources:
        first = declared.sources[0].dataset
        raise BadInput(
            f"The {declared.kind} '{declared.name}' needs its data: add --source {first}=PATH "
            f"('mdkif show {declared.name}' tells where to get it)."
        )


def listed_sources(file: Path) -> dict[str, Path]:
    """The data sets of a TOML file of lines `dataset = "path"`; paths are relative to the file.

    Raises BadInput for a file that is none.
    """
    try:
        with file.open("rb") as text:
            table = tomllib.load(text)
    except OSError as error:
        raise BadInput(f"The sources cannot be read from {file} ({error.strerror}): check the path.") from None
    except ValueError as error:
        raise BadInput(f'{file} is not TOML ({error}): write lines such as mednli = "path/to/mednli".') from None
    if wrong := [name for name, path in table.items() if not isinstance(path, str)]:
        raise BadInput(f"{file} gives '{wrong[0]}' something else than a path: write {wrong[0]} = \"path\".")
    return {name: file.parent / Path(path).expanduser() for name, path in table.items()}
