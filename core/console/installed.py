"""The command line for what is installed and kept: look around, add, remove, and see whether all is well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from ..contract.declarations import KINDS, Baseline, BaseModel, Declaration, Router, Skill, Trainer
from ..contract.discovery import Plugin
from .app import State
from .completion import names_of, targets
from .options import PATH, as_json, modelled, replacing
from .tables import print_card, print_json, print_lines, print_rows, progress

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
    from ..upkeep.repair import repair as mended
    from .doctor import examine

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


@click.group()
def skills() -> None:
    """Trained skills of the store: adapters of others in, one's own out."""


@skills.command("import")
@click.argument("directory", type=PATH)
@click.option("--name", required=True, help="What the skill is to be called.", shell_complete=names_of(Skill))
@click.option("--licence", required=True, help="The terms its owner gave it, such as CC-BY-4.0.")
@click.option("--title", default="", help="One line for people.")
@replacing
@modelled
@as_json
@click.pass_obj
def import_(
    state: State, /, directory: Path, name: str, licence: str, title: str, replace: bool, as_json: bool, **model: Any
) -> None:
    """Take an adapter that PEFT saved elsewhere into the store.

    DIRECTORY holds adapter_config.json and adapter_model.safetensors of a LoRA, rsLoRA or AdaLoRA. --base is the
    model that it was trained on.
    """
    kit = state.kit(progress=progress(), **model)
    made = kit.import_skill(directory, name, licence=licence, title=title, replace=replace)
    card = {**made.card, "path": str(made.path)}
    print_json(card) if as_json else print_card(card)


@skills.command("export")
@click.argument("skill", shell_complete=names_of(Skill))
@click.argument("directory", type=PATH)
@click.option("--base", envvar="MDKIF_BASE", required=True, help="The base model of the skill.",
              shell_complete=names_of(BaseModel))  # fmt: skip
@as_json
@click.pass_obj
def export_(state: State, skill: str, directory: Path, base: str, as_json: bool) -> None:
    """Write one skill as a folder that PEFT loads.

    SKILL is NAME or NAME@VERSION.
    """
    done = state.kit(base=base).export_skill(skill, directory)
    print_json(done) if as_json else print_card(done)


@click.command()
@click.argument("skills", nargs=-1, required=True, metavar="SKILL...", shell_complete=names_of(Skill))
@click.option("-o", "--out", "directory", type=PATH, help="A new folder [default: mdkif-pack-NAME].")
@click.option("--name", required=True, help="What the pack is to be called.")
@click.option("--licence", required=True, help="The terms of what is passed on, such as CC-BY-4.0.")
@click.option("--title", default="", help="One line for people.")
@click.option("--version", default="0.1.0", show_default=True, help="The distribution's version.")
@click.option("--hashes", is_flag=True, help="Pass on keyed hashes of what was learnt from.")
@click.option("--base", envvar="MDKIF_BASE", required=True, help="The base model of the skills.",
              shell_complete=names_of(BaseModel))  # fmt: skip
@as_json
@click.pass_obj
def publish(
    state: State, /, skills: Sequence[str], directory: Path | None, base: str, as_json: bool, name: str, **facts: Any
) -> None:
    """Write trained skills as a distribution that others install.

    SKILL is NAME or NAME@VERSION. With --hashes an evaluation can tell which records a skill has seen, and whoever
    holds a text whether it was among them.
    """
    folder = directory or Path(f"mdkif-pack-{name}")
    done = state.kit(base=base).publish(skills, folder, name=name, **facts)
    if as_json:
        print_json(done)
    else:
        print_card(done)
        print_lines(
            ["", "Try next:", f"  pip install {folder}", "  mdkif list trained", f"  mdkif check {done['dist']}"]
        )


@click.group()
def models() -> None:
    """Base models of the store."""


@models.command()
@click.argument("name", shell_complete=names_of(BaseModel))
@as_json
@click.pass_obj
def pull(state: State, name: str, as_json: bool) -> None:
    """Put a base model into the store, once."""
    path = state.kit(progress=progress()).pull(name)
    print_json({"name": name, "path": str(path)}) if as_json else print_lines([str(path)])
