"""Skills and base models in and out of the store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ..console.app import State
from ..console.completion import names_of
from ..console.options import PATH, as_json, modelled, replacing
from ..console.tables import print_card, print_json, print_lines, progress
from ..contract.declarations import KINDS, BaseModel, Skill

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
