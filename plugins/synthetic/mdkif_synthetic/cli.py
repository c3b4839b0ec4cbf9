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
@click.option("--only", multiple=True, metavar="NAME", help="Write only this data set; may be given several times.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def synth(directory: Path, seed: int, patients: int, only: tuple[str, ...], as_json: bool) -> None:
    """Write a synthetic teaching hospital into DIR: fourteen data sets in their official layouts."""
    started = time.monotonic()
    written = generate(directory, seed=seed, patients=patients, only=only)
    if as_json:
        document = {
            "directory": str(directory),
            "seed": seed,
            "datasets": {name: str(path) for name, path in written.items()},
            "counts": written.counts,
            "seconds": round(time.monotonic() - started, 3),
        }
        click.echo(json.dumps(document))
        return
    for name, path in written.items():
        click.echo(f"{name:<16} {path}")
    click.echo(f"{patients:,} invented patients; {directory / 'README.txt'} says what is there.")
    click.echo("Read any of it with 'mdkif convert NAME PATH -o FILE'.")
