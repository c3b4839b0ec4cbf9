"""Measure, reproduce and export what was made."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, get_args

import click

from ..console.app import State
from ..console.arguments import measured, named, pairs, sources_of
from ..console.completion import compositions, names_of
from ..console.completion import measured as measurable
from ..console.options import (
    COUNT,
    PATH,
    SPLIT,
    as_json,
    converted,
    lengthened,
    listed,
    modelled,
    overlapping,
    policed,
    recorded,
    seeded,
    skipping,
    sourced,
)
from ..console.tables import print_card, print_json, print_rows, progress
from ..contract.declarations import Normaliser, Read, Recipe, Skill, Task
from ..data.sources import listed_sources
from ..errors import MdkifError


@click.command()
@click.argument("task", required=False, shell_complete=names_of(Task))
@sourced
@listed
@recorded
@converted
@click.option("--with", "targets", multiple=True, shell_complete=measurable,
              help="base, skill:NAME, a composition, untuned:COMPOSITION or baseline:NAME; repeatable.")  # fmt: skip
@click.option("--shortcuts", is_flag=True, help="All baselines that need no understanding, too.")
@click.option("--shots", type=COUNT, default=0, help="Baselines learn from this adaptation set [default: train].")
@click.option("--shots-seed", type=COUNT, help="Seed of that set, and of what baselines draw [default: --seed].")
@click.option("--set", "texts", multiple=True, metavar="NAME.SETTING=VALUE",
              help="A setting of a baseline; 'mdkif show' of it lists them.")  # fmt: skip
@click.option("--skills", help="Comma-separated trained skills that baselines may use [default: all].",
              shell_complete=names_of(Skill))  # fmt: skip
@click.option("--limit", type=COUNT, default=0, help="Draw this many records [default: all].")
@policed
@click.option("--split", type=SPLIT, default="test", show_default=True, help="The records to measure on.")
@click.option("--answer", type=click.Choice(["score", "span"]), default="score", show_default=True,
              help="Score every listed label, or extract labels as the papers do.")  # fmt: skip
@click.option("--normaliser", type=click.Choice(get_args(Normaliser)),
              help="What makes label scores comparable [default: the task's own].")  # fmt: skip
@click.option("--read", type=click.Choice(get_args(Read)), default="all", show_default=True,
              help="How much of a generated answer counts: all of it, or its first line.")  # fmt: skip
@lengthened(512)
@overlapping
@seeded
@skipping
@partial(modelled, required=False)
@as_json
@click.pass_obj
def evaluate(
    state: State, /, task: str | None, sources: Sequence[str], file: Path | None, records: Path | None,
    data: Sequence[str], targets: Sequence[str], shortcuts: bool, texts: Sequence[str], skills: str | None,
    skip_bad: bool, as_json: bool, dtype: str, device: str, format: str, base: str | None, **given: Any,
) -> None:  # fmt: skip
    """Measure the base, skills, blends and baselines on a task.

    A base model is needed for all but baselines that use records alone.
    """
    from ..evaluation.settings import EvaluateSettings

    if not targets and not shortcuts:
        raise click.UsageError("Name what to measure by --with, or give --shortcuts.")
    kit = state.kit(progress=progress(), base=base, dtype=dtype, device=device, format=format)
    task = named(task, records)
    [paths] = sources_of(kit, Task, [task], sources, file, records)
    asked = [*measured(kit, targets, texts), *["shortcuts"] * shortcuts]
    done = kit.evaluate(task, paths, asked, settings=EvaluateSettings(**given), skip_bad=skip_bad,
                        skills=skills.split(",") if skills else None, data=pairs("--data", data))  # fmt: skip
    if as_json:
        rows = [each.as_row() for each in done]
        print_json(rows[0] if len(rows) == 1 else rows)
    else:
        names = dict.fromkeys(name for e in done for name, value in e.metrics.items() if name != "n" and not
                              (name.endswith("_undefined") and value == 0))  # fmt: skip
        print_rows([{"with": e.target, **e.metrics} for e in done], ("with", *names), f"{task}, {done[0].n} records")


@click.command()
@click.argument("composition", shell_complete=compositions)
@click.argument("directory", type=PATH)
@click.option("--to", required=True, help="What to write: lora, merged or gguf.")
@click.option("--quantize", default="", help="Type of the matrices of a GGUF: q8_0, q4_0, … [default: f16].")
@modelled
@as_json
@click.pass_obj
def export(
    state: State, /, composition: str, directory: Path, to: str, quantize: str, as_json: bool, **model: Any
) -> None:
    """Write a composition for other tools: LoRA, merged or GGUF."""
    done = state.kit(progress=progress(), **model).export(composition, directory, to, quantize)
    print_json(done) if as_json else print_card(done)


@click.command()
@click.argument("recipe", required=False, shell_complete=names_of(Recipe))
@click.option("--list", "listing", is_flag=True, help="Only say which recipes are installed.")
@sourced
@listed
@click.option("--engine", default="local", show_default=True, help="Where cells are computed: local or ray.")
@click.option("--toy", is_flag=True, help="At toy scale: two tasks, three skills, one seed, two steps.")
@click.option(
    "--draws", type=COUNT, default=1000, show_default=True, help="Draws of the bootstrap; 0 compares nothing."
)
@click.option("--out", type=PATH, help="A folder for the table (.md, .tex, .csv) and the figure (.svg).")
@skipping
@partial(modelled, required=False)
@as_json
@click.pass_obj
def reproduce(
    state: State, /, recipe: str | None, listing: bool, sources: Sequence[str], file: Path | None, engine: str,
    toy: bool, draws: int, out: Path | None, skip_bad: bool, as_json: bool, **model: Any,
) -> None:  # fmt: skip
    """Repeat an experiment: a table or figure by its recipe.

    RECIPE is a name of --list, or a TOML file of your own. What was finished before is not computed again.
    """
    kit = state.kit(progress=progress(), **model)
    if listing:
        rows = [{"recipe": each.name, "paper": each.paper, "title": each.title} for each, _ in kit.plugins.all(Recipe)]
        return print_json(rows) if as_json else print_rows(rows, ("recipe", "paper", "title"))
    if recipe is None:
        raise click.UsageError("Name a recipe of 'mdkif reproduce --list', or give a TOML file.")
    from ..experiments.reproduce import write
    from ..experiments.tables import markdown

    paths = listed_sources(file) if file else {}
    paths |= {name: Path(path).expanduser() for name, path in pairs("--source", sources).items()}
    results = kit.reproduce(recipe, paths, engine=engine, toy=toy, draws=draws, skip_bad=skip_bad)
    print_json(results.as_json()) if as_json else click.echo(markdown(results), nl=False)
    for path in write(results, out) if out else ():
        kit.workspace.progress.note(str(path))
    if results.failures:
        raise MdkifError("Cells failed, with the reasons above; what is finished is kept: mend them and run it again.")
    return None
