"""The options that several verbs of the command line share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import click

from ..contract.declarations import BaseModel, Dataset
from ..data.learnt import Overlap
from ..data.records import SPLITS
from .completion import names_of

PATH = click.Path(path_type=Path)
COUNT, POSITIVE, SPLIT = click.IntRange(min=0), click.IntRange(min=1), click.Choice(SPLITS)


def modelled(command: Callable[..., Any], required: bool = True) -> Callable[..., Any]:
    """The options of every verb that runs a base model, which may be `required`."""
    for option in (
        click.option(
            "--format",
            type=click.Choice(["auto", "chat", "plain"]),
            default="auto",
            show_default=True,
            help="How prompts are written: the model's chat template, or plain text.",
        ),
        click.option("--device", default="auto", show_default=True, help="Where it runs: cpu, cuda, mps, …"),
        click.option(
            "--dtype",
            envvar="MDKIF_DTYPE",
            default="auto",
            show_default=True,
            help="Its numbers: float32, bfloat16 or float16.",
        ),
        click.option(
            "--base",
            envvar="MDKIF_BASE",
            required=required,
            help="The base model: smollm2, a folder, or a hub id.",
            shell_complete=names_of(BaseModel),
        ),
    ):
        command = option(command)
    return command


as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
sourced = click.option(
    "--source",
    "sources",
    multiple=True,
    metavar="[DATASET=]PATH",
    help="A data set as its owner distributes it [default: the one that is installed].",
    shell_complete=names_of(Dataset, end="="),
)
recorded = click.option(
    "--records",
    type=PATH,
    metavar="FILE",
    help="Your own records instead: a .csv or .jsonl with question, options, answer.",
)
listed = click.option("--sources", "file", type=PATH, metavar="FILE", help='A TOML file of lines DATASET = "PATH".')
settable = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="A setting; 'mdkif show' of a trainer or router lists its own.",
)
converted = click.option("--data", multiple=True, metavar="NAME=VALUE", help="An option of the data set's converter.")
seeded = click.option("--seed", type=COUNT, default=0, show_default=True, help="Seed of everything random.")
policed = click.option("--split-policy", default="official", show_default=True, metavar="NAME",
                       help="Who learns from what: official, 8:2 or paper.")  # fmt: skip
overlapping = click.option("--overlap", type=click.Choice(get_args(Overlap)), default="refuse", show_default=True,
                           help="Records that were learnt from before: refuse, leave out or keep.")  # fmt: skip
skipping = click.option("--skip-bad", is_flag=True, help="Count malformed rows and go on.")
replacing = click.option("--replace", is_flag=True, help="Take away the older version of that name.")


def lengthened(default: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The option for how long a prompt with its answer may be."""
    return click.option("--max-length", type=POSITIVE, default=default, show_default=True,
                        help="Tokens of prompt and answer; longer contexts are cut.")  # fmt: skip
