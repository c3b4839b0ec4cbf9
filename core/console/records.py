"""The command line for records: converted from official files, shown as the model reads them, and answered."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import click

from ..contract.declarations import Dataset, PromptedSpec, Skill, Task
from ..data.conversion import ConversionReport
from ..data.record_files import write_records
from ..errors import BadInput
from .app import State
from .arguments import named, pairs, peak_mebibytes, queries, sources_of
from .completion import names_of, targets
from .options import PATH, POSITIVE, as_json, converted, lengthened, modelled, recorded, skipping
from .tables import print_card, print_json, print_lines, progress


@click.command()
@click.argument("dataset", shell_complete=names_of(Dataset))
@click.argument("source", type=PATH)
@click.option("-o", "--out", type=PATH, required=True, help="The file to write: .jsonl or .parquet.")
@converted
@skipping
@as_json
@click.pass_obj
def convert(
    state: State, dataset: str, source: Path, out: Path, data: Sequence[str], skip_bad: bool, as_json: bool
) -> None:
    """Convert a data set's official files to unified records."""
    import time

    started, conversion = time.perf_counter(), ConversionReport(skip_bad)
    records = state.kit().convert(dataset, source, conversion, pairs("--data", data))
    first = next(records, None)
    if first is None:
        raise BadInput(_nothing(dataset, source, conversion))
    write_records(chain([first], records), out)
    seconds = time.perf_counter() - started
    report = {
        "dataset": dataset,
        "records": conversion.records,
        "left_out": dict(conversion.left_out),
        "splits": dict(conversion.splits),
        "seconds": round(seconds, 3),
        "records_per_second": round(conversion.records / seconds),
        "peak_mebibytes": peak_mebibytes(),
        "file": str(out),
    }
    print_json(report) if as_json else print_card(report)


def _nothing(dataset: str, source: Path, conversion: ConversionReport) -> str:
    """Why there is no record."""
    reasons = ", ".join(f"{count} {reason}" for reason, count in conversion.left_out.items())
    why = f"all that was read is left out ({reasons})" if reasons else "no row was found there"
    return f"There is no record of '{dataset}' in {source}, and nothing was written: {why}; check path and --data."


@click.command()
@click.argument("name", required=False, shell_complete=names_of(Skill, Task))
@click.argument("source", required=False, metavar="[[DATASET=]SOURCE]")
@recorded
@click.option("-n", "count", type=POSITIVE, default=3, show_default=True, help="How many.")
@converted
@as_json
@click.pass_obj
def preview(
    state: State,
    name: str | None,
    source: str | None,
    records: Path | None,
    count: int,
    data: Sequence[str],
    as_json: bool,
) -> None:
    """Show instructions as the model will see them."""
    if not (name and source) and records is None:
        raise click.UsageError("Give NAME and SOURCE, or --records FILE.")
    kit, name = state.kit(), named(name, records)
    [given] = sources_of(kit, PromptedSpec, [name], [source] if source else [], records=records)
    rows = kit.preview(name, given, count, pairs("--data", data))
    if as_json:
        print_json(rows)
    else:
        for row in rows:
            print_card(row)
            print_lines([""])


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path), default="-")
@click.option("--with", "target", required=True, help="base, skill:NAME or a composition.", shell_complete=targets)
@lengthened(1024)
@click.option("--max-new-tokens", type=POSITIVE, default=128, show_default=True, help="Tokens of a free answer.")
@modelled
@as_json
@click.pass_obj
def predict(
    state: State, /, file: Path, target: str, max_length: int, max_new_tokens: int, as_json: bool, **model: Any
) -> None:
    """Answer the queries in FILE or standard input.

    FILE holds records (.jsonl, .parquet) or plain text, one query a line.
    """
    records = queries(file)
    answers = state.kit(progress=progress(), **model).predict(target, records, max_length, max_new_tokens)
    if as_json:
        print_json(
            [{"id": a.id, "answer": a.text, "scores": dict(zip(a.options, a.scores, strict=True))} for a in answers]
        )
    else:
        print_lines(" ".join(answer.text.split()) for answer in answers)
