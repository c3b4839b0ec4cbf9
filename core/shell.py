"""The frame of the command line: plugins' commands, options given as text, errors and exit codes."""

from __future__ import annotations

import io
import math
import os
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from .declarations import Command, Skill
from .errors import BadInput, MdkifError, unknown
from .plugins import Plugins
from .records import Record, read_records
from .toolkit import Kinds, Toolkit
from .workspace import check_sources


class Commands(click.Group):
    """The core commands and, beside them, the plugins'; a plugin's code is imported when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command's name, sorted."""
        return sorted({*super().list_commands(ctx), *(c.name for c, _ in _plugins_of(ctx).all(Command))})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The core command of that name or, not yet imported, a plugin's."""
        own = super().get_command(ctx, name)
        if own is not None:
            return own
        declared = next((c for c, _ in _plugins_of(ctx).all(Command) if c.name == name), None)
        return None if declared is None else _Lazy(declared)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command. Raises BadInput with the nearest name for an unknown one."""
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            raise unknown("command", args[0], self.list_commands(ctx))
        return super().resolve_command(ctx, args)


class _Lazy(click.Command):
    """A plugin's command, of which `--help` of the group needs the title only."""

    def __init__(self, declared: Command) -> None:
        super().__init__(declared.name, short_help=declared.title, help=declared.title, add_help_option=False)
        self._declared = declared

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        command: click.Command = self._declared.load()
        return command.make_context(info_name, args, parent, **extra)


def _plugins_of(ctx: click.Context) -> Plugins:
    return state_of(ctx).kit().plugins


def state_of(ctx: click.Context) -> State:
    """The state of this run of the command line; core command names are reserved in it."""
    root = ctx.find_root()
    state = root.ensure_object(State)
    if isinstance(root.command, click.Group):
        state.reserved = tuple(root.command.commands)
    return state


class State:
    """The options before the verb, and the toolkit made from them once."""

    def __init__(self) -> None:
        self.store: Path | None = None
        self.reserved: tuple[str, ...] = ()
        self._plugins: Plugins | None = None

    def kit(self, **options: Any) -> Toolkit:
        """A toolkit with these options; plugins are discovered once."""
        made = Toolkit(self.store, reserved=self.reserved, plugins=self._plugins, **options)
        self._plugins = made.plugins
        return made


def sources_of(
    kit: Toolkit, kinds: Kinds, names: Sequence[str], given: Sequence[str], file: Path | None = None
) -> list[dict[str, Path]]:
    """For each of several skills or tasks, the paths given for its data sets as `DATASET=PATH`, or in a file.

    A bare path is the data set it reads first. Of a file's data sets each takes its own or, where there are
    none of them, the alternatives. Raises
    BadInput for an unknown name, one left without data, and a given data set that none of them reads.
    """
    declared = [kit.instructed(name, kinds) for name in names]
    read_by_some = {dataset for each in declared for dataset in each.reads}
    listed = listed_sources(file) if file else {}
    found = []
    for each in declared:
        own = {source.dataset for source in each.sources}
        sources = {dataset: path for dataset, path in listed.items() if dataset in own}
        sources = sources or {dataset: path for dataset, path in listed.items() if dataset in each.reads}
        for text in given:
            dataset, equals, path = text.partition("=")
            if not equals or Path(text).exists():
                dataset, path = each.reads[0], text
            if dataset in each.reads or dataset not in read_by_some:
                sources[dataset] = Path(path).expanduser()
        check_sources(each, sources)
        found.append(sources)
    return found


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


def trainable(kit: Toolkit, sources: Sequence[str], file: Path | None) -> list[str]:
    """Every installed skill that reads one of the given data sets. Raises BadInput if there is none."""
    given = {text.partition("=")[0] for text in sources} | set(listed_sources(file) if file else {})
    names = [skill.name for skill, _ in kit.plugins.all(Skill) if given & set(skill.reads)]
    if not names:
        raise BadInput(
            "No installed skill reads any of the given data sets: add --source DATASET=PATH or --sources FILE."
        )
    return names


def queries(file: Path) -> list[Record]:
    """The records of a .jsonl or .parquet file, or one for each line of plain text ("-": standard input).

    Raises BadInput for a file that is neither, or holds nothing.
    """
    if file.suffix in (".jsonl", ".parquet"):
        records = list(read_records(file))
    else:
        try:
            with click.open_file(str(file), encoding="utf-8-sig") as lines:
                texts = [line.strip() for line in lines if line.strip()]
        except UnicodeDecodeError:
            raise BadInput(
                f"{file} is not text in UTF-8: give one query a line, or records (.jsonl, .parquet)."
            ) from None
        records = [Record(id=str(i), query=text, answer="") for i, text in enumerate(texts, 1)]
    if not records:
        raise BadInput(f"There is nothing to answer in {file}: give one query a line, or records (.jsonl, .parquet).")
    return records


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


def run(main: click.Command, arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code; errors are one sentence on stderr."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")  # a short spin spares a wake-up for each of many small products
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a console that lacks a character shows "?", and work goes on
    try:
        result = main(list(arguments), prog_name="mdkif", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except Exception as error:
        if "--debug" in arguments and not isinstance(error, (click.ClickException, click.Abort, click.exceptions.Exit)):
            raise
        return _reported(error)
    except KeyboardInterrupt:
        return _reported(click.Abort())


def _reported(error: Exception) -> int:
    """The exit code of an error, after saying on stderr what there is to say."""
    code, text = 1, f"An unexpected {type(error).__name__} stopped the work: run 'mdkif --debug …' to see where."
    match error:
        case click.exceptions.Exit():
            return error.exit_code
        case click.exceptions.NoArgsIsHelpError():
            click.echo(error.format_message())
            return 0
        case BrokenPipeError():  # the reader has gone; Python's own flush at the end must not complain either
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        case click.Abort():
            text = "Interrupted: what was finished is kept; run the same command again to go on."
        case click.UsageError():
            path = error.ctx.command_path if error.ctx else "mdkif"
            code, text = error.exit_code, f"{error.format_message()} See '{path} --help'."
        case click.ClickException():
            code, text = error.exit_code, error.format_message()
        case MdkifError():
            code, text = error.exit_code, str(error)
        case OSError(strerror=str(reason)):
            text = f"{error.filename or 'The output'} cannot be used ({reason}): free space or choose another place."
    click.echo(f"Error: {text}", err=True)
    return code
