"""The frame of the command line: plugins' commands, state, errors and exit codes."""

from __future__ import annotations

import io
import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import click

from ..contract.catalogue import owners
from ..contract.declarations import Command
from ..contract.discovery import Plugins
from ..errors import MdkifError
from ..toolkit import Toolkit
from .tables import plain

FIRST = """\
mdkif turns a frozen general language model into a medical one, skill by skill.

  mdkif demo              see it all work, in minutes
  mdkif list skills       what can be learnt, and from which data
  mdkif synth hospital    invented data in official layouts, to begin with
  mdkif list --available  what else can be installed

Then train skills, adapt them to a task, evaluate and export the blend.

  mdkif --help            every command
  mdkif train --help      one of them
  mdkif doctor            is all well here, and what to do if not
"""


def first_screen(ctx: click.Context) -> str:
    """What `mdkif` alone says: the first commands, as far as this installation has them."""
    known = {"--help", *ctx.command.list_commands(ctx)} if isinstance(ctx.command, click.Group) else set()
    shown = (line for line in FIRST.splitlines() if not line.startswith("  ") or line.split()[1] in known)
    return "\n".join([*shown, ""])


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
        """Find the command. Raises BadInput with what to install for an unknown one, or the nearest."""
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            raise _plugins_of(ctx).missing(Command, args[0], self.list_commands(ctx))
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
    state.debug = bool(root.params.get("debug"))
    if isinstance(root.command, click.Group):
        state.reserved = tuple(root.command.commands)
    return state


class State:
    """The options before the verb, and the toolkit made from them once."""

    def __init__(self) -> None:
        self.store: Path | None = None
        self.debug = False
        self.reserved: tuple[str, ...] = ()
        self._plugins: Plugins | None = None

    def kit(self, **options: Any) -> Toolkit:
        """A toolkit with these options; plugins are discovered once, with `--debug` every hook call is shown."""
        if self._plugins is None:
            trace = partial(click.echo, err=True) if self.debug else None
            self._plugins = Plugins(reserved=self.reserved, first=owners(), trace=trace)
        return Toolkit(self.store, plugins=self._plugins, **options)


def run(main: click.Command, arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code; errors are one sentence on stderr."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")  # a short spin spares a wake-up for each of many small products
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a console that lacks a character shows "?", and work goes on
    debug = "--debug" in arguments
    try:
        with nullcontext() if debug else _quiet_libraries():
            result = main(list(arguments), prog_name="mdkif", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except Exception as error:
        if debug and not isinstance(error, (click.ClickException, click.Abort, click.exceptions.Exit)):
            traceback.print_exc()
        return _reported(error)
    except KeyboardInterrupt:
        return _reported(click.Abort())


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    """Within the block a library's advice and deprecations, which no user can act on, are not shown; its errors are.

    Whoever asks Python for warnings (`-W`, `$PYTHONWARNINGS`) gets them.
    """
    import logging

    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            if not sys.warnoptions:
                warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


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
        case _ if _is_out_of_memory(error):
            text = (
                "The memory does not suffice: lower --max-length, batch_size or tokens with --set, add --set "
                "gradient_checkpointing=yes to train, or take --dtype bfloat16 or a smaller --base."
            )
    click.echo(plain(f"Error: {text}"), err=True)
    return code


def _is_out_of_memory(error: Exception) -> bool:
    """Whether Python, PyTorch or its allocators had no memory left: each says so in its own way."""
    said = str(error).lower()
    told = "can't allocate memory" in said or "not enough memory" in said or "bad_alloc" in said
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or told
