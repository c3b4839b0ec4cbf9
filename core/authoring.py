"""The command line for those who write plugins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from .options import as_json, listed, sourced
from .reporting import print_json, print_lines, print_rows
from .shell import listed_sources, pairs


@click.command()
@click.argument("target", default="")
@sourced
@listed
@as_json
@click.pass_context
def check(ctx: click.Context, target: str, sources: Sequence[str], file: Path | None, as_json: bool) -> None:
    """Check plugins against what the host relies on.

    TARGET is a distribution or anything it provides; without it every plugin is checked. Data sets
    are converted from the sources given, or from the sample in their plugin's package.
    """
    given = {name: Path(path) for name, path in pairs("--source", sources).items()}
    found = list(ctx.obj.kit().check(target, (listed_sources(file) if file else {}) | given))
    if as_json:
        print_json([asdict(each) for each in found])
    else:
        shown = [asdict(each) for each in found if each.state != "kept"]
        if shown:
            print_rows(shown, ("subject", "rule", "state", "remedy"))
        counts = {state: sum(each.state == state for each in found) for state in ("kept", "broken", "not checked")}
        print_lines(["Rules: " + ", ".join(f"{count} {state}" for state, count in counts.items()) + "."])
    ctx.exit(1 if any(each.state == "broken" for each in found) else 0)
