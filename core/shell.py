"""The frame of the command line: plugins' commands, options given as text, errors and exit codes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from .declarations import Command
from .errors import BadInput, MdkifError, unknown
from .plugins import Plugins
from .toolkit import Toolkit


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
        return declared and _Lazy(declared)

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


def sources_of(kit: Toolkit, name: str, given: Sequence[str], only_its: bool = False) -> dict[str, Path]:
    """`DATASET=PATH` pairs as a mapping; a bare path is the data set the skill or task reads first."""
    declared = kit.instructed(name)
    sources: dict[str, Path] = {}
    for text in given:
        dataset, equals, path = text.partition("=")
        if not equals or Path(text).exists():
            dataset, path = declared.sources[0].dataset, text
        sources[dataset] = Path(path).expanduser()
    if only_its:
        reads = {source.dataset for source in (*declared.sources, *declared.alternatives)}
        sources = {dataset: path for dataset, path in sources.items() if dataset in reads}
    return sources


def pairs(option: str, given: Sequence[str]) -> dict[str, str]:
    """`name=value` texts as a mapping; a setting may be written with hyphens. Raises BadInput for other texts."""
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise BadInput(f"The option {option} cannot be '{text}': write it as name=value.")
        found[name.replace("-", "_") if option == "--set" else name] = value
    return found


def number(name: str, text: str) -> float:
    """The weight given to a skill. Raises BadInput if it is no number."""
    try:
        return float(text)
    except ValueError:
        raise BadInput(f"The weight of '{name}' cannot be '{text}': give a number, as in --skill {name}=0.5.") from None


def run(main: click.Command, arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code; errors are one sentence on stderr."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        result = main(list(arguments), prog_name="mdkif", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("Interrupted: run the same command again to go on from the last checkpoint.", err=True)
        return 1
    except BrokenPipeError:
        return 1
    except Exception as error:
        if "--debug" in arguments:
            raise
        known = isinstance(error, MdkifError)
        text = (
            str(error)
            if known
            else f"An unexpected {type(error).__name__} stopped the work: run it with --debug to see where."
        )
        click.echo(f"Error: {text}", err=True)
        return error.exit_code if isinstance(error, MdkifError) else 1
