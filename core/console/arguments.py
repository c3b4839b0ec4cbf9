"""Arguments given as text, turned into values."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..contract.declarations import Baseline, Dataset, LazySpec, PromptedSpec, Skill
from ..data import own
from ..data.conversion import NO_TEXT, ConversionReport, is_text
from ..data.record_files import bounded_lines
from ..data.records import Record
from ..data.sources import chosen, listed_sources, source_of
from ..errors import BadInput
from ..settings import Settings, settings_from
from ..toolkit import Toolkit

if TYPE_CHECKING:
    from ..evaluation.baseline import BaselineMethod


def named(name: str | None, records: Path | None) -> str:
    """The name given, or that of a file of one's own records. Raises BadInput if there is neither."""
    if name is None and records is None:
        raise BadInput("Name the task ('mdkif list tasks'), or give records of your own with --records FILE.")
    return name or re.sub(r"[^a-z0-9]+", "-", records.stem.lower()).strip("-") if records else str(name)


def sources_of(
    kit: Toolkit,
    kind: type[PromptedSpec],
    names: Sequence[str],
    given: Sequence[str],
    file: Path | None = None,
    records: Path | None = None,
) -> list[dict[str, Path]]:
    """For each of several skills or tasks, the paths given for its data sets as `DATASET=PATH`, or in a file.

    A bare path is the data set it reads first, and a bare name a data set that is installed. Of a file's data sets
    each takes its own or, where there are none of them, the alternatives; whoever is left without takes what is
    installed. Raises BadInput for an unknown name, one left without data, and a data set that none of them reads.
    """
    if records is not None:
        if given or file:
            raise BadInput("Give --records or --source, and not both: they name the same thing, where records are.")
        return [{own.NAME: records.expanduser()} for _ in names]
    declared = [kit.plugins.get(kind, name) for name in names]
    read_by_some = {dataset for each in declared for dataset in each.reads}
    listed = listed_sources(file) if file else {}
    found = []
    for each in declared:
        sources = chosen(each, listed)
        for text in given:
            dataset, equals, path = text.partition("=")
            if not equals and text in read_by_some and not Path(text).exists():
                path = str(source_of(kit.plugins.get(Dataset, text), None)) if text in each.reads else ""
            elif not equals or Path(text).exists():
                dataset, path = each.reads[0], text
            if dataset in each.reads or dataset not in read_by_some:
                sources[dataset] = Path(path).expanduser()
        found.append(dict(kit.workspace.found(each, sources)))
    return found


def configured(
    kit: Toolkit, kind: type[LazySpec], name: str, settings: type[Settings], texts: Sequence[str], **given: Any
) -> tuple[Any, Any]:
    """A trainer or router and the settings of its stage, from options and from the texts of `--set`.

    Raises BadInput for an unknown name or setting, or a value that is not of its type and range.
    """
    cls = kit.plugins.get(kind, name).load()
    stated = {key: value for key, value in given.items() if value is not None}
    method, stage = settings_from(pairs("--set", texts), cls, settings, **stated)
    return method, stage


def measured(kit: Toolkit, targets: Sequence[str], texts: Sequence[str]) -> list[str | BaselineMethod]:
    """The targets of an evaluation; a baseline that texts of `--set` are about is given as an object.

    Raises BadInput for a text that is not NAME.SETTING=VALUE of one of them, and for a wrong setting or value.
    """
    from ..adapters.target import BASELINE

    settings: dict[str, dict[str, str]] = {}
    for text in texts:
        name, dot, rest = text.partition(".")
        if not dot or f"{BASELINE}{name}" not in targets:
            raise BadInput(
                f"The option --set cannot be '{text}': write it as NAME.SETTING=VALUE, of a baseline:NAME of --with."
            )
        settings.setdefault(f"{BASELINE}{name}", {}).update(pairs("--set", [rest]))
    made: list[str | BaselineMethod] = []
    for target in targets:
        declared = kit.plugins.get(Baseline, target.removeprefix(BASELINE)) if target in settings else None
        made.append(settings_from(settings[target], declared.load())[0] if declared else target)
    return made


def trainable(kit: Toolkit, sources: Sequence[str], file: Path | None) -> list[str]:
    """Every installed skill that reads one of the given data sets. Raises BadInput if there is none."""
    given = {text.partition("=")[0] for text in sources} | set(listed_sources(file) if file else {})
    names = [skill.name for skill, _ in kit.plugins.all(Skill) if given & set(skill.reads)]
    if not names:
        raise BadInput(
            "No installed skill reads any of the given data sets: add --source DATASET=PATH or --sources FILE."
        )
    return names


def queries(file: Path, report: ConversionReport) -> Iterator[Record]:
    """The records of a file of one's own or that `convert` wrote, else one for each line of text ("-": standard input).

    They are read as they are asked for. Raises BadInput for a file that is neither, or holds nothing, and for a row
    that is malformed unless `report` skips those.
    """
    records = own.own_records(file, report) if file.suffix in own.SUFFIXES else _lines(file, report)
    number = 0
    for record in records:
        if not is_text(record):
            report.malformed(file, record.source or record.id, NO_TEXT)
            continue
        number += 1
        yield record
    if not number and not report.malformed_rows:
        raise BadInput(f"There is nothing to answer in {file}: give one query a line, or records (.jsonl, .parquet).")


def _lines(file: Path, report: ConversionReport) -> Iterator[Record]:
    number = 0
    try:
        with click.open_file(str(file), encoding="utf-8-sig") as lines:
            for line in bounded_lines(lines, file, report):
                if query := line.strip():
                    number += 1
                    yield Record(id=str(number), query=query, answer="")
    except UnicodeDecodeError:
        raise BadInput(f"{file} is not text in UTF-8: give one query a line, or records (.jsonl, .parquet).") from None


def pairs(option: str, given: Sequence[str]) -> dict[str, str]:
    """`name=value` texts as a mapping; a setting may be written with hyphens. Raises BadInput for other texts."""
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise BadInput(f"The option {option} cannot be '{text}': write it as name=value.")
        found[name.replace("-", "_") if option not in ("--skill", "--source") else name] = value
    return found


def number(name: str, text: str) -> float:
    """The weight given to a skill. Raises BadInput if it is no finite number."""
    try:
        weight = float(text)
    except ValueError:
        weight = math.nan
    if not math.isfinite(weight):
        raise BadInput(f"The weight of '{name}' cannot be '{text}': give a number, as in --skill {name}=0.5.")
    return weight


def peak_mebibytes() -> int | None:
    """The most memory this process has held, in MiB; None where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(held / (1 << 20 if sys.platform == "darwin" else 1 << 10))
