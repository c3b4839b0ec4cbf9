"""The command line for the installation itself: plugins in and out, and whether all is well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import click

from .options import as_json
from .reporting import print_json, print_lines, print_rows


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--editable", "-e", is_flag=True, help="Leave a folder where it is, and use it as it changes.")
@as_json
def install(names: Sequence[str], editable: bool, as_json: bool) -> None:
    """Install plugins into mdkif's own environment.

    NAME is what the catalogue knows ('mdkif list --available'), a distribution, a folder or a wheel.
    """
    from .installing import install as put

    wanted = put(names, editable=editable)
    print_json({"installed": wanted}) if as_json else print_lines([f"installed {each}" for each in wanted])


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@as_json
@click.pass_context
def uninstall(ctx: click.Context, names: Sequence[str], as_json: bool) -> None:
    """Remove plugins, by distribution or by what they provide."""
    from .installing import uninstall as remove

    gone = remove(ctx.obj.kit().plugins, names)
    print_json({"removed": gone}) if as_json else print_lines([f"removed {each}" for each in gone])


@click.command()
@as_json
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Look whether everything is well, and say what to do if not."""
    from .doctor import examine

    lines = list(examine(ctx.obj.kit().workspace))
    if as_json:
        print_json([asdict(line) for line in lines])
    else:
        print_rows([{**asdict(line), "": "✓" if line.ok else "✗"} for line in lines], ("", "what", "found", "remedy"))
    ctx.exit(0 if all(line.ok for line in lines) else 1)
