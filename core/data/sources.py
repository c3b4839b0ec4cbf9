"""The data sets a skill or task is given: which path belongs to which, and their records merged."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..contract.declarations import Dataset, InstalledData, PromptedSpec
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


def found_sources(plugins: Plugins, declared: PromptedSpec, sources: Sources) -> Sources:
    """The sources given or, if there is none, the files that come with installed packages.

    Those are of all data sets of the skill's or task's `sources` that are installed, else of the first of its
    `alternatives` that is. Raises BadInput as `check_sources` does; if a package is missing, it says which.
    """
    faults = []
    for choice in () if sources else (declared.sources, *((each,) for each in declared.alternatives)):
        found: dict[str, Path] = {}
        for name in (each.dataset for each in choice):
            try:
                files = installed_files(plugins, name)
            except BadInput as fault:
                faults.append(fault)
            else:
                found |= {name: files.path} if files else {}
        if found:
            return found
    if faults:
        raise faults[0]
    check_sources(declared, sources)  # which raises if there is none
    return sources


def installed_files(plugins: Plugins, dataset: str) -> InstalledData | None:
    """Where an installed package has the files of a data set, if one has. Raises BadInput if it is damaged."""
    return next((each.find() for each, _ in plugins.all(Dataset) if each.name == dataset), None)


def source_of(dataset: Dataset, source: Path | None) -> Path:
    """The source given or, without one, the files of an installed package. Raises BadInput if there are none."""
    if source is not None:
        return source
    if found := dataset.find():
        return found.path
    raise BadInput(
        f"The data of '{dataset.name}' come with no package: give their folder or file ({dataset.homepage})."
    )


def releases(plugins: Plugins, sources: Sources) -> dict[str, str]:
    """Of the sources that come with installed packages, which release of the data set each is."""
    found = {name: _release(plugins, name, path) for name, path in sources.items()}
    return {name: release for name, release in found.items() if release}


def _release(plugins: Plugins, dataset: str, path: Path) -> str:
    with suppress(BadInput):
        if (files := installed_files(plugins, dataset)) and files.path == path:
            return files.release
    return ""


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
