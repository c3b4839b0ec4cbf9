"""The command line: it parses, calls the toolkit and prints; every verb is `mdkif.Toolkit`'s."""

from __future__ import annotations

from pathlib import Path

import click

from .core.commands.authoring import check, new
from .core.commands.installed import doctor, install, list_, plugins, remove, show, uninstall, verify
from .core.commands.learning import adapt, compose, train
from .core.commands.measuring import evaluate, export, reproduce
from .core.commands.records import convert, predict, preview
from .core.commands.sharing import models, publish, skills
from .core.console.app import Commands, first_screen, state_of
from .core.console.completion import completion
from .core.console.options import PATH


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("--store", type=PATH, envvar="MDKIF_STORE", help="Where everything is kept [default: ./mdkif-store].")
@click.option("--debug", is_flag=True, help="Show tracebacks, and what libraries say.")
@click.version_option(package_name="mdkif")
@click.pass_context
def main(ctx: click.Context, store: Path | None, debug: bool) -> None:
    """Turn a frozen general LLM into a medical one, skill by skill.

    \b
    mdkif list skills                what can be learnt
    mdkif train nli --source mednli=PATH --base smollm2
    mdkif adapt icd-coding --source PATH --base smollm2
    """
    state_of(ctx).store = store
    if ctx.invoked_subcommand is None:
        click.echo(first_screen(ctx), nl=False)


COMMANDS = (
    *(train, adapt, compose, evaluate, export, reproduce),
    *(convert, preview, predict),
    *(list_, show, remove, plugins, install, uninstall, doctor, verify),
    *(models, skills, publish),
    *(new, check, completion),
)
for command in COMMANDS:
    main.add_command(command)
