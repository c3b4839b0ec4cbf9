"""The command `mdkif demo`: it runs the steps and prints what a person should see."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
from mdkif import Toolkit, reporting

from .steps import FULL, METRIC, QUICK, TASK, demonstrate, made_files

OWN = Path("mdkif-demo")


@click.command()
@click.option("--quick", is_flag=True, help="A tiny random model, in seconds: the steps, not a result.")
@click.option("--seed", default=0, show_default=True, help="Seed of everything random.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def demo(ctx: click.Context, quick: bool, seed: int, as_json: bool) -> None:
    """Train skills, learn a router, and see the blend on a task no skill was trained on.

    Without --store it keeps what it makes in ./mdkif-demo, apart from what you train.
    """
    plan = QUICK if quick else FULL
    given: Path | None = ctx.find_root().params.get("store")
    store = given or OWN
    kit = Toolkit(store, plan.base, progress=reporting.progress(), format="plain")
    shown = demonstrate(kit, plan, seed)
    if as_json:
        reporting.print_json({"task": TASK, "n": shown.n, "rows": shown.rows, "seconds": shown.seconds})
        return
    for router in ("gradient", "cma-es"):
        reporting.print_weights(shown.weights[router], f"\nweights found by {router}")
    title = f"\n{TASK}: {METRIC} on the same {shown.n} test records (0.5 is chance)"
    reporting.print_rows(shown.rows, ("with", "value"), title=title)
    total = sum(shown.seconds.values())
    stages = ", ".join(f"{stage} {took:.0f}" for stage, took in shown.seconds.items())
    reporting.print_lines([f"\n{total:.0f} seconds: {stages}", "", "What was made:"])
    hospital, *_ = made = made_files(kit, plan, shown.report)
    reporting.print_lines(f"  {path}" for path in made)
    commands = (
        "list trained",
        f"show {TASK}-cma-es",
        f"preview icd-coding {hospital}/MIMIC-III",
        f"export {TASK}-cma-es ./icd-lora --to lora --base {plan.base}",
    )
    program = shlex.join(["mdkif", "--store", str(store)])
    reporting.print_lines(["", "Try next:", *(f"  {program} {command}" for command in commands)])
