"""The command line for what is installed and kept: look around, add, remove, and see whether all is well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import click

from ..console.app import State
from ..console.completion import names_of, targets
from ..console.options import as_json
from ..console.tables import print_card, print_json, print_lines, print_rows
from ..contract.declarations import KINDS, Baseline, Declaration, Router, Trainer
from ..contract.discovery import Plugin

COLUMNS = {
    "trained": ("name", "title", "base", "trainer", "steps", "records", "dev_loss", "version", "pack"),
    "compositions": ("name", "title", "base", "task", "router", "version"),
    "reports": ("name", "task", "with", "base", "n", "split", "split_policy", "seed"),
}

TABLES = {
    "settings": "Its settings, each for --set NAME=VALUE",
    "stage_settings": "Settings of the stage; those used most have options of their own",
}


def _kinds(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    known = (*(f"{kind}s" for kind in KINDS if kind != "command"), *COLUMNS)
    return [kind for kind in known if kind.startswith(incomplete)]


@click.command("list")
@click.argument("kind", required=False, shell_complete=_kinds)
@click.option("--available", is_flag=True, help="What is known, but not installed.")
@as_json
@click.pass_obj
def list_(state: State, kind: str | None, available: bool, as_json: bool) -> None:
    """List what is installed, of one KIND or all.

    KIND is skills, tasks, datasets, trainers, routers, baselines, evaluators, models or packs; or, of what was made,
    trained, compositions or reports.
    """
    kit = state.kit()
    rows = kit.list(kind, available)
    if as_json:
        print_json(rows)
    else:
        installed = ("kind",) * (kind is None) + ("name", "title") + ("dist",) * (kind is not None or available)
        print_rows(rows, COLUMNS.get(kind or "", installed))
    if failed := [plugin.dist for plugin in kit.plugins.plugins if plugin.error]:
        shown = ", ".join(failed[:5]) + (", …" if len(failed) > 5 else "")
        click.echo(f"{len(failed)} plugin(s) could not be used: {shown}; 'mdkif plugins' says why.", err=True)


@click.command()
@click.argument("name", shell_complete=names_of(Declaration))
@as_json
@click.pass_obj
def show(state: State, name: str, as_json: bool) -> None:
    """Show one card: data, template, papers, settings, what was trained."""
    cards = state.kit().show(name)
    if as_json:
        print_json(cards[0] if len(cards) == 1 else cards)
    else:
        for card in cards:
            tables = TABLES if card["kind"] in (Trainer.kind, Router.kind) else {}
            if card["kind"] == Baseline.kind:
                tables = {"settings": f"Its settings, each for --set {name}.NAME=VALUE"}
            print_card({key: value for key, value in card.items() if key not in tables})
            for key, title in tables.items():
                if rows := card[key]:
                    print_lines([""])
                    print_rows(rows, ("name", "may_be", "default", "meaning"), title)


@click.command()
@click.argument("name", shell_complete=targets)
@as_json
@click.pass_obj
def remove(state: State, name: str, as_json: bool) -> None:
    """Take away a trained skill, a composition or a report.

    NAME is skill:NAME (all its versions), skill:NAME@VERSION, a composition or a report; 'mdkif list trained',
    'list compositions' and 'list reports' show them.
    """
    gone = state.kit().remove(name)
    print_json({"removed": [str(path) for path in gone]}) if as_json else print_lines(
        f"removed {each}" for each in gone
    )


@click.command()
@as_json
@click.pass_obj
def plugins(state: State, as_json: bool) -> None:
    """List plugins: what each provides, which failed and why."""
    found = state.kit().plugins.plugins
    if as_json:
        print_json([{"dist": p.dist, "version": p.version, "provides": p.provides, "listens": p.listens,
                     "error": p.error, "remedy": p.remedy, "seconds": round(p.seconds, 4)} for p in found])  # fmt: skip
    else:
        rows = [
            {"dist": p.dist, "version": p.version, "seconds": f"{p.seconds:.2f}", "provides": _said(p)} for p in found
        ]
        print_rows(rows, ("dist", "version", "seconds", "provides"))


def _said(plugin: Plugin) -> str:
    """What a plugin provides and listens to, or why it does not and what to do."""
    if plugin.error:
        return f"FAILED: {plugin.error}\nRemedy: {plugin.remedy}"
    provided = [*plugin.provides, *(f"listens to {hook}" for hook in plugin.listens)]
    return ", ".join(provided[:10]) + (f" and {len(provided) - 10} more" if len(provided) > 10 else "")


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--editable", "-e", is_flag=True, help="Leave a folder where it is, and use it as it changes.")
@as_json
def install(names: Sequence[str], editable: bool, as_json: bool) -> None:
    """Install plugins into mdkif's own environment.

    NAME is what the catalogue knows ('mdkif list --available'), a distribution, a folder or a wheel.
    """
    from ..contract.install import install as put

    wanted = put(names, editable=editable)
    print_json({"installed": wanted}) if as_json else print_lines([f"installed {each}" for each in wanted])


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@as_json
@click.pass_context
def uninstall(ctx: click.Context, names: Sequence[str], as_json: bool) -> None:
    """Remove plugins, by distribution or by what they provide."""
    from ..contract.install import uninstall as remove

    gone = remove(ctx.obj.kit().plugins, names)
    print_json({"removed": gone}) if as_json else print_lines([f"removed {each}" for each in gone])


@click.command()
@click.option("--repair", is_flag=True, help="Set aside what is broken, and take away what killed processes left.")
@as_json
@click.pass_context
def doctor(ctx: click.Context, repair: bool, as_json: bool) -> None:
    """Look whether everything is well, and say what to do if not."""
    from ..console.doctor import examine
    from ..upkeep.repair import repair as mended

    workspace = ctx.obj.kit().workspace
    for what, done in mended(workspace.store) if repair else ():
        click.echo(f"{what}: {done}.", err=True)
    lines = list(examine(workspace))
    if as_json:
        print_json([asdict(line) for line in lines])
    else:
        print_rows([{**asdict(line), "": "✓" if line.ok else "✗"} for line in lines], ("", "what", "found", "remedy"))
    ctx.exit(0 if all(line.ok for line in lines) else 1)


@click.command()
@click.argument("name", required=False, default="", shell_complete=targets)
@as_json
@click.pass_context
def verify(ctx: click.Context, name: str, as_json: bool) -> None:
    """Read every byte and hold it against its hash.

    NAME is a model, skill:NAME[@VERSION], a composition, a report or the folder of an export [default: all that the
    store holds]. The exit code is 1 if something is not what was written.
    """
    found = list(ctx.obj.kit().verify(name))
    if as_json:
        print_json([asdict(each) for each in found])
    else:
        rows = [{**asdict(each), "": "✗" if each.wrong else "✓"} for each in found]
        print_rows(rows, ("", "kind", "name", "by", "wrong", "remedy"))
    ctx.exit(1 if any(each.wrong for each in found) else 0)
