"""An experiment's table for people and papers: Markdown, LaTeX with booktabs, and CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Sequence

from .results import Column, Entry, Results, Row

WIDE = 9
ESCAPED = {"&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "±": r"$\pm$", "−": "$-$", "*": "$^{*}$", "—": "---"}


def markdown(results: Results) -> str:
    """The table in Markdown, with what its marks mean, the claims, and what is missing."""
    header, *rows = _grid(results, "**{}**", "<u>{}</u>", str)
    lines = [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}", *(f"| {' | '.join(row)} |" for row in rows)]
    parts = [f"# {results.experiment.title}"] if results.experiment.title else []
    return "\n\n".join([*parts, "\n".join(lines), *_told(results)]) + "\n"


def latex(results: Results) -> str:
    """The table for a paper: `\\usepackage{booktabs}`."""
    header, *rows = _grid(results, r"\textbf{{{}}}", r"\underline{{{}}}", _escaped)
    body = [" & ".join(row) + r" \\" for row in rows]
    lines = [r"\begin{tabular}{" + "l" + "r" * (len(header) - 1) + "}", r"\toprule", " & ".join(header) + r" \\",
             r"\midrule", *body, r"\bottomrule", r"\end{tabular}"]  # fmt: skip
    return "\n".join(lines) + "\n"


def separated(results: Results) -> str:
    """Every entry as a line of CSV, in full precision; the paper's number as it is printed there."""
    out = io.StringIO()
    lines = csv.writer(out, lineterminator="\n")
    lines.writerow(("method", "setting", "task", "metric", "x", "mean", "sd", "cells", "records", "paper",
                    "difference", "low", "high", "p", "shown"))  # fmt: skip
    for (row, column), entry in results.entries.items():
        told = entry.difference
        compared = (told.value, told.low, told.high, told.adjusted, told.shown) if told else ()
        lines.writerow((row.method, row.setting, column.task, column.metric, column.x, entry.mean, entry.sd,
                        len(entry.values), entry.n, entry.paper, *compared))  # fmt: skip
    return out.getvalue()


def _told(results: Results) -> list[str]:
    made = results.experiment
    against = made.against or next((each.name for each in made.methods if each.run), "")
    parts = [f"Mean ± standard deviation over seeds{', in percent' * (made.unit == 100)}; in brackets the paper's own "
             "number. Best bold, second underlined, upper bounds apart."]  # fmt: skip
    if any(entry.difference for entry in results.entries.values()):
        parts[0] += (f" * differs from {against}: the 95 % bounds of a paired bootstrap over groups of records and "
                     "seeds, by Holm for the number of columns, exclude zero.")  # fmt: skip
    if made.vary:
        parts[0] += f" The numbers after the metrics are values of {made.varied[0]}."
    for title, lines in (("Claims", list(map(str, results.claims))),
                         ("Left out", results.notes),
                         ("Failed", [f"{each.title}: {each.reason}" for each in results.failures])):  # fmt: skip
        if lines:
            parts.append(f"{title}:\n\n" + "\n".join(f"- {line}" for line in lines))
    return parts


def _grid(results: Results, best: str, second: str, escape: Callable[[str], str]) -> list[list[str]]:
    """Header and rows as texts; a table with more columns than people can read is turned on its side."""
    settings = {row.setting for row in results.rows}
    grid = [["", *(escape(f"{each.task} {each.metric} {each.x}".strip()) for each in results.columns)]]
    places = {column: _places(results, column) for column in results.columns}
    for row in results.rows:
        name = f"{row.method}{' (upper bound)' * row.bound}{f', {row.setting}' * (len(settings) > 1)}"
        cells = []
        for column in results.columns:
            text = escape(shown(results.entries[row, column], results.experiment.unit))
            place = places[column].get(row)
            cells.append((best, second)[place].format(text) if place is not None else text)
        grid.append([escape(name), *cells])
    return [list(row) for row in zip(*grid, strict=True)] if len(grid[0]) > max(WIDE, len(grid)) else grid


def shown(entry: Entry, unit: int) -> str:
    """An entry as text: mean ± sd, a mark if it is told from what it is compared with, and the paper's number."""
    parts = []
    if entry.mean is not None:
        spread = "" if entry.sd is None else f" ± {_number(entry.sd * unit, unit)}"
        mark = "*" * bool(entry.difference and entry.difference.shown)
        parts.append(_number(entry.mean * unit, unit) + spread + mark)
    if entry.paper is not None:
        parts.append(f"({_number(entry.paper, unit)})")
    return " ".join(parts) or "—"


def _number(value: float, unit: int) -> str:
    return f"{value:,.0f}" if unit == 1 and float(value).is_integer() else f"{value:.{3 if unit == 1 else 1}f}"


def _places(results: Results, column: Column) -> dict[Row, int]:
    """The best (0) and the second (1) of the rows that were measured, all of equal ones; none where one row was."""
    means = {row: results.entries[row, column].mean for row in results.rows if not row.bound}
    sign = 1 if results.higher[column] else -1
    values: Sequence[float] = sorted({sign * mean for mean in means.values() if mean is not None}, reverse=True)
    if sum(mean is not None for mean in means.values()) < 2:
        return {}
    return {row: values.index(sign * mean) for row, mean in means.items()
            if mean is not None and math.isfinite(mean) and values.index(sign * mean) < 2}  # fmt: skip


def _escaped(text: str) -> str:
    return "".join(ESCAPED.get(letter, letter) for letter in text)
