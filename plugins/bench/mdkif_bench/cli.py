"""The command `mdkif bench`: it runs comparisons and prints and writes their rows."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path

import click
from mdkif import Toolkit, atomic_file, reporting

from .comparisons import COMPARISONS, ONCE, PROFILED, compare

COUNT = click.IntRange(min=1)
BOTH = ("bfloat16", "float32")
PATH = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option("--base", envvar="MDKIF_BASE", default="smollm2", show_default=True, help="The base model.")
@click.option(
    "--only", "names", multiple=True, type=click.Choice(list(COMPARISONS)), help="One comparison; repeatable."
)
@click.option("--skills", type=COUNT, default=12, show_default=True, help="Skills in a blend.")
@click.option("--rank", type=COUNT, default=4, show_default=True, help="Their rank.")
@click.option("--repeats", type=COUNT, default=3, show_default=True, help="Paired measurements of each row.")
@click.option("--out", type=PATH, help="Also write the rows to this .json file.")
@click.option("--table", type=PATH, help="Also write them as a table to this .md file.")
@click.option("--dtype", envvar="MDKIF_DTYPE", default="auto", show_default=True,
              help="The base's numbers: float32, bfloat16, float16, or both for the first two.")  # fmt: skip
@click.option("--device", default="auto", show_default=True, help="Where it runs: cpu, cuda, mps, …")
@click.option("--profile", type=click.Choice(PROFILED), help="Print where the time of our side of one goes.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def bench(
    ctx: click.Context, base: str, names: Sequence[str], skills: int, rank: int, repeats: int, out: Path | None,
    table: Path | None, dtype: str, device: str, profile: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Measure mdkif beside its peers, on the same work.

    Ours and the peer are first checked to compute the same, then measured in turn in one process. A
    ratio is the median of the pairs, its spread their quartiles. Files are written after every row.
    With --profile our side of one comparison runs under PyTorch's profiler instead.
    """
    from .material import Bench
    from .profiling import COLUMNS as OPERATIONS
    from .profiling import Profiled
    from .tables import COLUMNS, markdown, shown

    store: Path | None = ctx.find_root().params.get("store")
    progress = reporting.progress()
    rows, named = [], [profile] if profile else names or COMPARISONS
    dtypes = BOTH if dtype == "both" else (dtype,)
    with progress.task("bench", len(dtypes) * len(named)) as bar, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)  # PEFT's to mend
        for each in dtypes:
            kit = Toolkit(store, base, progress=progress, dtype=each, device=device)
            chosen = Bench(kit=kit, skills=skills, rank=rank, repeats=0 if profile else repeats)
            for name in named:
                if name in ONCE and each != dtypes[0]:
                    continue
                bar.advance(0, now=name)
                try:
                    rows.append(compare(chosen, name))
                except Profiled as found:
                    rows += [{"dtype": chosen.dtype, **row} for row in found.rows]
                bar.advance()
                if out is not None:
                    _write(out, json.dumps(rows, indent=2, ensure_ascii=False) + "\n")
                if table is not None and not profile:
                    _write(table, markdown(rows, chosen, names, dtype))
    if as_json:
        reporting.print_json(rows)
    elif profile:
        reporting.print_rows(rows, ("dtype", *OPERATIONS))
    else:
        reporting.print_rows(list(map(shown, rows)), COLUMNS)
        reporting.print_lines(f"{row['only']}: {row['note']}" for row in rows if row["note"])


def _write(path: Path, text: str) -> None:
    with atomic_file(path) as part:
        part.write_text(text, encoding="utf-8")
