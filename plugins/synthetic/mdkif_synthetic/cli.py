"""The command `mdkif synth`."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from .generation import FEWEST_PATIENTS, generate

SIZE = click.IntRange(FEWEST_PATIENTS)


@click.command("synth")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same files.")
@click.option("--size", "patients", default=400, show_default=True, type=SIZE, help="How many patients.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def synth(directory: Path, seed: int, patients: int, as_json: bool) -> None:
    """Write a synthetic teaching hospital into DIR: seven data sets in their official layouts."""
    started = time.monotonic()
    counts = generate(directory, seed=seed, patients=patients)
    if as_json:
        seconds = round(time.monotonic() - started, 3)
        click.echo(json.dumps({"directory": str(directory), "seed": seed, "counts": counts, "seconds": seconds}))
        return
    for name, count in counts.items():
        click.echo(f"{count:>8,}  {name}")
    click.echo(f"Written to {directory}; {directory / 'README.txt'} says what is in it.")
