"""Train skills, learn routers, blend by hand: what makes something."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from ..console.app import State
from ..console.arguments import configured, named, number, pairs, sources_of, trainable
from ..console.completion import names_of
from ..console.options import (
    COUNT,
    POSITIVE,
    SPLIT,
    as_json,
    converted,
    lengthened,
    listed,
    modelled,
    overlapping,
    policed,
    recorded,
    replacing,
    seeded,
    settable,
    skipping,
    sourced,
)
from ..console.tables import print_json, print_lines, print_rows, print_weights, progress
from ..contract.declarations import Router, Skill, Task, Trainer
from ..progress import Bar


@click.command()
@click.argument("skills", nargs=-1, metavar="[SKILL...]", shell_complete=names_of(Skill))
@click.option("--all", "all_skills", is_flag=True, help="Every installed skill that reads one of the data sets given.")
@sourced
@listed
@recorded
@click.option("--name", help="What the skill of --records is called [default: the file's name].")
@converted
@policed
@click.option(
    "--trainer", default="adalora", show_default=True, help="adalora, lora, …", shell_complete=names_of(Trainer)
)
@settable
@lengthened(512)
@seeded
@skipping
@replacing
@modelled
@click.option("--dry-run", is_flag=True, help="Only say what it takes: steps, tokens, memory and hours.")
@as_json
@click.pass_obj
def train(
    state: State, /, skills: Sequence[str], all_skills: bool, sources: Sequence[str], file: Path | None,
    records: Path | None, name: str | None, data: Sequence[str], trainer: str, settings: Sequence[str],
    skip_bad: bool, replace: bool, dry_run: bool, as_json: bool, split_policy: str, seed: int, max_length: int,
    **model: Any,
) -> None:  # fmt: skip
    """Stage I: train skills, each alone, into the store."""
    from ..training.settings import TrainSettings

    skills = skills or ([named(name, records)] if records else [])
    if bool(skills) == all_skills:
        raise click.UsageError("Name the skills to train, or give --all.")
    kit = state.kit(progress=progress(), **model)
    given = {"split_policy": split_policy, "seed": seed, "max_length": max_length}
    options: dict[str, Any] = {"data": pairs("--data", data), "skip_bad": skip_bad}
    cards, rows = [], []
    if all_skills:
        skills = trainable(kit, sources, file)
    paths = sources_of(kit, Skill, skills, sources, file, records)
    configured(kit, Trainer, trainer, TrainSettings, settings, **given)  # a wrong one is found before any work
    with kit.workspace.progress.task("skills", len(skills)) if len(skills) > 1 else nullcontext(Bar()) as bar:
        for skill, own in zip(skills, paths, strict=True):
            bar.advance(0, now=f"{skill} on {', '.join(own)}")
            method, loop = configured(kit, Trainer, trainer, TrainSettings, settings, **given)
            if dry_run:
                found = kit.estimate(skill, own, trainer=method, settings=loop, **options)
                rows.append({"skill": skill, "trainer": trainer, **asdict(found)})
            else:
                done = kit.train(skill, own, trainer=method, settings=loop, replace=replace, **options)
                cards.append({**done.card, "path": str(done.path)})
            bar.advance()
    if as_json:
        print_json(rows or cards)
    elif rows:
        print_rows(rows, tuple(rows[0]))
    else:
        rows = [{"skill": c["skill"], "trainer": c["trainer"], "steps": c["steps"], "records": c["data"]["records"],
                 "rank": c.get("rank", {}).get("mean"), **c["metrics"]} for c in cards]  # fmt: skip
        print_rows(rows, ("skill", "trainer", "steps", "records", "rank", "dev_loss_before", "dev_loss"))


@click.command()
@click.argument("task", required=False, shell_complete=names_of(Task))
@sourced
@listed
@recorded
@converted
@click.option("--skills", help="Comma-separated trained skills, each NAME or NAME@VERSION [default: all].",
              shell_complete=names_of(Skill))  # fmt: skip
@click.option("--setting", type=click.Choice(["few-shot", "normal"]), default="few-shot", show_default=True,
              help="How many records: --shots, or --limit.")  # fmt: skip
@click.option("--shots", type=POSITIVE, default=32, show_default=True, help="Records of the few-shot setting.")
@click.option("--limit", type=COUNT, default=0, help="Records of the normal setting [default: the test size].")
@click.option("--router", default="gradient", show_default=True, help="gradient, cma-es, uniform, single, …",
              shell_complete=names_of(Router))  # fmt: skip
@click.option("--objective", default="auto", show_default=True,
              help="What to minimise: choice (auto, where options are listed), cross-entropy or a metric.")  # fmt: skip
@click.option("--scale", type=click.Choice(["auto", "one", "free", "signed"]), default="auto", show_default=True,
              help="Positive weights of total one or a free one, or signed (auto, with objective choice).")  # fmt: skip
@click.option("--granularity", type=click.Choice(["skill", "layer", "module"]), default="skill", show_default=True,
              help="One weight per skill, or one in each layer or module.")  # fmt: skip
@click.option("--tune", default="none", show_default=True, metavar="[auto|none|STEPS]",
              help="Then tune a small LoRA on the blend; auto: its steps chosen on held-out records.")  # fmt: skip
@policed
@click.option("--split", type=SPLIT, help="Where the records come from; never test [default: those kept from skills].")
@click.option("--name", help="The composition's name [default: TASK-ROUTER].")
@overlapping
@settable
@lengthened(512)
@seeded
@skipping
@replacing
@modelled
@as_json
@click.pass_obj
def adapt(
    state: State, /, task: str | None, sources: Sequence[str], file: Path | None, records: Path | None,
    data: Sequence[str], skills: str | None, router: str, name: str | None, settings: Sequence[str],
    skip_bad: bool, replace: bool, as_json: bool, dtype: str, device: str, format: str, base: str, **given: Any,
) -> None:  # fmt: skip
    """Stage II: learn the router of a task on a few of its records."""
    from ..routing.optimizer import AdaptSettings

    kit = state.kit(progress=progress(), base=base, dtype=dtype, device=device, format=format)
    task = named(task, records)
    [paths] = sources_of(kit, Task, [task], sources, file, records)
    optimizer, chosen = configured(kit, Router, router, AdaptSettings, settings, **given)
    done = kit.adapt(task, paths, router=optimizer, settings=chosen, skills=skills.split(",") if skills else None,
                     name=name, skip_bad=skip_bad, data=pairs("--data", data), replace=replace)  # fmt: skip
    weights = done.composition.summary()
    if as_json:
        objective = {"name": done.objective, "start": done.start, "end": done.end, "uniform": done.uniform,
                     "references": done.references, "nearest": done.nearest, "moved": done.moved}  # fmt: skip
        print_json({"task": task, "composition": done.composition.name, "weights": weights, "objective": objective,
                    "tuned": done.tuned.as_json() if done.tuned else None, "evaluations": done.evaluations,
                    "seconds": round(done.seconds, 2)})  # fmt: skip
    else:
        print_weights(weights, f"{done.composition.name} on {done.composition.base}")
        before = ", ".join(f"{name} {value:.4f}" for name, value in done.references.items())
        print_lines([f"objective {done.objective} {done.end:.4f}; before, {before}",
                     f"the weights are {done.moved:.3f} away from {done.nearest}, the nearest of these"])  # fmt: skip
        if done.tuned:
            print_lines([f"tuned for {done.tuned.steps} steps; on these records {done.tuned.before:.4f} before and "
                         f"{done.tuned.after:.4f} after"])  # fmt: skip


@click.command()
@click.argument("name")
@click.option("--skill", "skills", multiple=True, required=True, metavar="SKILL=WEIGHT",
              help="A trained skill and its weight; repeatable.", shell_complete=names_of(Skill, end="="))  # fmt: skip
@replacing
@modelled
@as_json
@click.pass_obj
def compose(state: State, /, name: str, skills: Sequence[str], replace: bool, as_json: bool, **model: Any) -> None:
    """Blend trained skills with weights by hand."""
    weights = {skill: number(skill, text) for skill, text in pairs("--skill", skills).items()}
    made = state.kit(progress=progress(), **model).compose(name, weights, replace=replace)
    print_json(asdict(made)) if as_json else print_weights(made.summary(), f"{made.name} on {made.base}")
