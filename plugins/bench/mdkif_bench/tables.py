"""Rows for people: a table on the terminal, and a page of documentation."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from .material import Bench
from .timing import Row

COLUMNS = ("name", "dtype", "ours", "peer", "ratio", "spread", "unit", "goal", "met", "memory")
SIGNS = {"at least": "≥", "at most": "≤"}
PACKAGES = ("torch", "transformers", "peft", "lm-eval", "nevergrad", "cma")

EXPLANATION = """\
Ours and the peer compute the same, which is checked first, and are measured in turn in one process. `ours` and `peer`
are medians, `ratio` is the median of the pairs' ratios, divided as the name says, and `spread` are their quartiles.
`memory` is the most the measuring process held, in MiB."""


def shown(row: Row) -> dict[str, str]:
    """A row's cells as text."""
    first, third = row["spread"]
    return {
        "name": row["name"],
        "dtype": row["dtype"],
        "ours": _figure(row["ours"]),
        "peer": _figure(row["peer"]),
        "ratio": _figure(row["ratio"]),
        "spread": f"{_figure(first)}–{_figure(third)}",
        "unit": row["unit"],
        "goal": "—" if row["goal"] is None else f"{SIGNS[row['wanted']]} {row['goal']:g}",
        "met": {True: "yes", False: "no", None: "—"}[row["met"]],
        "memory": _figure(row["memory"]),
    }


def markdown(rows: Sequence[Row], bench: Bench, names: Sequence[str] = (), dtype: str = "auto") -> str:
    """A page with the command, the machine and the table."""
    model = bench.base.model
    only = "".join(f" --only {name}" for name in names)
    setting = f"--dtype {dtype} --skills {bench.skills} --rank {bench.rank} --repeats {bench.repeats}"
    lines = [
        "# mdkif beside its peers",
        "",
        f"    mdkif bench --base {bench.kit.workspace.base_name}{only} {setting}",
        "",
        f"{bench.base.name} on {model.device.type}; {machine()}; {versions()}.",
        "",
        EXPLANATION,
        "",
        f"| {' | '.join(COLUMNS)} |",
        f"|{'---|' * len(COLUMNS)}",
        *(f"| {' | '.join(cells[column] for column in COLUMNS)} |" for cells in map(shown, rows)),
    ]
    notes = [f"- {row['name']}: {row['note']}." for row in rows if row["note"]]
    return "\n".join([*lines, *([""] if notes else []), *notes]) + "\n"


def machine() -> str:
    """Processor, accelerator and threads."""
    facts = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*: (.+)$", facts.read_text("utf-8"), re.MULTILINE) if facts.exists() else None
    name = found[1] if found else platform.processor() or platform.machine()
    accelerator = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{name}{accelerator}, {torch.get_num_threads()} of {os.cpu_count()} cores"


def versions() -> str:
    """Python and the packages that were measured."""
    found = [f"Python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def _figure(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
