"""The command line for looking around: what is there, and what is known of it."""

from __future__ import annotations

import click

from .completion import names_of
from .declarations import KINDS, Declaration
from .options import as_json
from .plugins import Plugin
from .reporting import print_card, print_json, print_rows
from .shell import State


def _kinds(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    return [f"{kind}s" for kind in KINDS if kind != "command" and f"{kind}s".startswith(incomplete)]


@click.command("list")
@click.argument("kind", required=False, shell_complete=_kinds)
@click.option("--available", is_flag=True, help="What is known, but not installed.")
@as_json
@click.pass_obj
def list_(state: State, kind: str | None, available: bool, as_json: bool) -> None:
    """List what is installed, of one KIND or all.

    KIND is skills, tasks, datasets, trainers, routers, evaluators or models.
    """
    kit = state.kit()
    rows = kit.list(kind, available)
    if as_json:
        print_json(rows)
    else:
        columns = ("kind",) * (kind is None) + ("name", "title") + ("dist",) * (kind is not None or available)
        print_rows(rows, columns)
    if failed := [plugin.dist for plugin in kit.plugins.plugins if plugin.error]:
        shown = ", ".join(failed[:5]) + (", …" if len(failed) > 5 else "")
        click.echo(f"{len(failed)} plugin(s) could not be used: {shown}; 'mdkif plugins' says why.", err=True)


@click.command()
@click.argument("name", shell_complete=names_of(Declaration))
@as_json
@click.pass_obj
def show(state: State, name: str, as_json: bool) -> None:
    """Show one card: data, template, papers, trained adapters."""
    cards = state.kit().show(name)
    if as_json:
        print_json(cards[0] if len(cards) == 1 else cards)
    else:
        for card in cards:
            print_card(card)


@click.command()
@as_json
@click.pass_obj
def plugins(state: State, as_json: bool) -> None:
    """List plugins: what each provides, which failed and why."""
    found = state.kit().plugins.plugins
    if as_json:
        print_json([{"dist": p.dist, "version": p.version, "provides": p.provides, "error": p.error,
                     "remedy": p.remedy, "seconds": round(p.seconds, 4)} for p in found])  # fmt: skip
    else:
        rows = [
            {"dist": p.dist, "version": p.version, "seconds": f"{p.seconds:.2f}", "provides": _said(p)} for p in found
        ]
        print_rows(rows, ("dist", "version", "seconds", "provides"))


def _said(plugin: Plugin) -> str:
    """What a plugin provides, or why it does not and what to do."""
    if plugin.error:
        return f"FAILED: {plugin.error}\nRemedy: {plugin.remedy}"
    shown = ", ".join(plugin.provides[:10])
    return shown + (f" and {len(plugin.provides) - 10} more" if len(plugin.provides) > 10 else "")
