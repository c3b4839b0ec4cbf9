"""The command line for records: converted from official files, shown as the model reads them, and answered."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

import click

from ..console.app import State
from ..console.arguments import named, pairs, peak_mebibytes, queries, sources_of
from ..console.completion import names_of, targets
from ..console.options import PATH, POSITIVE, as_json, converted, lengthened, modelled, recorded, skipping
from ..console.tables import print_card, print_json, print_lines, progress
from ..contract.declarations import Dataset, PromptedSpec, Skill, Task
from ..data.conversion import ConversionReport
from ..data.record_files import write_records
from ..data.records import Record
from ..errors import BadInput
from ..hashing import json_digest
from ..store.files import make_private, refused, settle


@click.command()
@click.argument("dataset", shell_complete=names_of(Dataset))
@click.argument("source", type=PATH, required=False)
@click.option("-o", "--out", type=PATH, required=True, help="The file to write: .jsonl or .parquet.")
@converted
@skipping
@as_json
@click.pass_obj
def convert(
    state: State, dataset: str, source: Path | None, out: Path, data: Sequence[str], skip_bad: bool, as_json: bool
) -> None:
    """Convert a data set's official files to unified records.

    Without SOURCE they are those that come with an installed package.
    """
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


def _nothing(dataset: str, source: Path | None, conversion: ConversionReport) -> str:
    """Why there is no record."""
    reasons = ", ".join(f"{count} {reason}" for reason, count in conversion.left_out.items())
    why = f"all that was read is left out ({reasons})" if reasons else "no row was found there"
    place = source or "the installed package"
    return f"There is no record of '{dataset}' in {place}, and nothing was written: {why}; check path and --data."


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
    if not name and records is None:
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
@click.option("-o", "--out", type=PATH, help="The .jsonl to write; an interrupted run goes on there.")
@lengthened(1024)
@click.option("--max-new-tokens", type=POSITIVE, default=128, show_default=True, help="Tokens of a free answer.")
@skipping
@modelled
@as_json
@click.pass_obj
def predict(
    state: State, /, file: Path, target: str, out: Path | None, max_length: int, max_new_tokens: int, skip_bad: bool,
    as_json: bool, **model: Any,
) -> None:  # fmt: skip
    """Answer the queries in FILE or standard input.

    FILE holds records (.jsonl, .parquet) or plain text, one query a line. It is read as it is answered, so it may be of
    any length.
    """
    from ..inference.predict import answered

    kit, report = state.kit(progress=progress(), **model), ConversionReport(skip_bad)

    def answers(records: Iterable[Record]) -> Iterator[dict[str, Any]]:
        for each in answered(kit.workspace, target, records, max_length, max_new_tokens, report):
            yield {"id": each.id, "answer": each.text, "scores": dict(zip(each.options, each.scores, strict=True))}

    records = queries(file, report)
    if out is not None:
        asked = [str(file.resolve()), target, max_length, max_new_tokens, sorted(model.items())]
        written = _resumed(out, asked, records, answers)
        print_json({"file": str(out), "answers": written, "left_out": dict(report.left_out)}) if as_json else None
    elif as_json:
        print_json(list(answers(records)))
    else:
        print_lines(" ".join(answer["answer"].split()) for answer in answers(records))
    if report.malformed_rows:
        kit.workspace.progress.note(f"{report.malformed_rows} malformed row(s) of {file} were skipped.")


def _resumed(
    out: Path,
    asked: Sequence[Any],
    records: Iterator[Record],
    answers: Callable[[Iterable[Record]], Iterator[dict[str, Any]]],
) -> int:
    """Write answers as JSON lines and return how many; those an interrupted run of the same wrote are not asked again.

    They are in a hidden file beside `out`, their owner's alone, until all are there.
    """
    with refused(out):
        make_private(out.parent)
        part = out.with_name(f".{out.name}-{json_digest(asked)}.part")
        part.touch(mode=0o600)
        done = 0
        with part.open("r+b") as file:
            for line in iter(file.readline, b""):
                if not line.endswith(b"\n"):  # broken off
                    file.seek(-len(line), 2)
                    file.truncate()
                    break
                done += 1
            for answer in answers(islice(records, done, None)):
                file.write(json.dumps(answer, ensure_ascii=False).encode() + b"\n")
                file.flush()
                done += 1
        settle(part)
        part.replace(out)
    return done
