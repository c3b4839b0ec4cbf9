"""The command line: it parses, calls the toolkit and prints; every verb is `mdkif.Toolkit`'s."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, get_args

import click

from .core.console.app import Commands, State, first_screen, state_of
from .core.console.arguments import configured, measured, named, number, pairs, sources_of, trainable
from .core.console.authoring import check, new, reproduce
from .core.console.completion import completion, compositions, names_of
from .core.console.completion import measured as measurable
from .core.console.installed import (
    doctor,
    install,
    list_,
    models,
    plugins,
    publish,
    remove,
    show,
    skills,
    uninstall,
    verify,
)
from .core.console.options import (
    COUNT,
    PATH,
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
from .core.console.records import convert, predict, preview
from .core.console.tables import print_card, print_json, print_lines, print_rows, print_weights, progress
from .core.contract.declarations import Normaliser, Read, Router, Skill, Task, Trainer
from .core.progress import Bar


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


@main.command()
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
    from .core.training.settings import TrainSettings

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


@main.command()
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
    from .core.routing.optimizer import AdaptSettings

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


@main.command()
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


@main.command()
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
    """Measure the base, skills, compositions and baselines on a task.

    A base model is needed for all but baselines that use records alone.
    """
    from .core.evaluation.settings import EvaluateSettings

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


@main.command()
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


OTHERS = (check, completion, convert, doctor, install, list_, models, new, plugins, predict, preview, publish, remove,
          reproduce, show, skills, uninstall, verify)  # fmt: skip
for command in OTHERS:
    main.add_command(command)
