"""The data sets a skill or task is given: which path belongs to which, and their records merged."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..contract.declarations import Dataset, PromptedSpec
from ..contract.declarations import Source as Stated
from ..contract.discovery import Plugins
from ..errors import BadInput
from . import own
from .conversion import ConversionReport, convert
from .records import Record
from .splits import policy

Sources = Mapping[str, Path]


@dataclass(frozen=True)
class Source:
    """A data set with its path, the converter's options and the papers' sizes."""

    dataset: Dataset
    path: Path
    options: Mapping[str, Any]
    sizes: tuple[int, int, int] | None = None


def check_sources(declared: PromptedSpec, sources: Sources) -> None:
    """Raises BadInput if no path is given to a skill or task, or one for a data set it does not read."""
    for name in sources:
        if name != own.NAME:
            declared.source(name)
    if not sources:
        first = declared.sources[0].dataset
        raise BadInput(
            f"The {declared.kind} '{declared.name}' needs its data: add --source {first}=PATH "
            f"('mdkif show {declared.name}' tells where to get it)."
        )


def chosen(declared: PromptedSpec, listed: Sources) -> dict[str, Path]:
    """Of all data sets at hand those that a skill or task takes: its own or, where there are none, the alternatives."""
    its = {source.dataset for source in declared.sources}
    own_ones = {dataset: path for dataset, path in listed.items() if dataset in its}
    return own_ones or {dataset: path for dataset, path in listed.items() if dataset in declared.reads}


def opened(
    plugins: Plugins, declared: PromptedSpec, sources: Sources, data: Mapping[str, Any] | None = None
) -> list[Source]:
    """The sources of a skill or task, in the order given, before any of their files is read.

    `data` holds converter options that take the place of the skill's or task's own, each for the data
    sets that have it. Raises BadInput if no path is given, for a data set that is not read, and for an option that
    none of them has.
    """
    check_sources(declared, sources)
    datasets = [own.DATASET if name == own.NAME else plugins.get(Dataset, name) for name in sources]
    for option in data or {}:
        if all(option not in dataset.options for dataset in datasets):
            known = ", ".join(sorted({name for dataset in datasets for name in dataset.options})) or "none"
            raise BadInput(f"{', '.join(sources)} has no option '{option}': its options are {known}.")
    found = []
    for dataset, path in zip(datasets, sources.values(), strict=True):
        stated = Stated(dataset=own.NAME) if dataset is own.DATASET else declared.source(dataset.name)
        given = {name: value for name, value in (data or {}).items() if name in dataset.options}
        found.append(Source(dataset, path, {**stated.options, **given}, stated.sizes))
    return found


def read(
    sources: list[Source], report: ConversionReport, split_policy: str = "official", reserve: float = 0.0
) -> Iterator[Record]:
    """The records of sources, merged in their order, split by a policy of that name (see `splits.policy`)."""
    for source in sources:
        splits = policy(split_policy, source.sizes, reserve)
        yield from convert(source.dataset, source.path, report, source.options, splits)


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
