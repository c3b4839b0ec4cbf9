"""What a person sees: tables and bars that read well at 80 columns, in any terminal, and piped."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .progress import Progress, RichProgress

BAR = 28


def console() -> Console:
    """Stdout, `$COLUMNS` or 100 wide where it is no terminal, with colour only where the terminal wants it."""
    plain = Console(highlight=False)
    return plain if plain.is_terminal or "COLUMNS" in os.environ else Console(highlight=False, width=100)


def progress() -> Progress:
    """Bars and notes on stderr."""
    return RichProgress()


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def print_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], title: str = "") -> None:
    """A table of the named columns; numbers are right-aligned with four decimals."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        numeric = all(isinstance(row.get(column), (int, float)) for row in rows) and bool(rows)
        table.add_column(column.replace("_", " "), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(row.get(column))) for column in columns))
    out = console()
    if title:
        out.print(Text(title, style="bold"))
    out.print(table)


def print_weights(weights: Mapping[str, float], title: str) -> None:
    """The router's weights as bars, largest first; the longest bar is the largest weight."""
    out = console()
    out.print(Text(title, style="bold"))
    width = max(map(len, weights), default=0)
    largest = max((abs(w) for w in weights.values()), default=0.0) or 1.0
    for name, weight in sorted(weights.items(), key=lambda item: -item[1]):
        bar = "█" * round(BAR * abs(weight) / largest)
        out.print(Text(f"  {name:<{width}}{weight:>8.3f}  ") + Text(bar, style="cyan"))


def print_card(card: Mapping[str, Any], indent: int = 0, mark: str = "") -> None:
    """A card as lines: nested values are indented below their name, and empty ones are left out.

    `mark` stands before the first line, to tell the items of a list apart.
    """
    out, inner = console(), indent + len(mark)
    for key, value in card.items():
        if value in (None, "", (), [], {}):
            continue
        label = Text(mark + (key if inner else key.replace("_", " ")), style="bold")
        here, mark = inner - len(mark), ""
        nested = [value] if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else []
        if any(isinstance(item, Mapping) for item in nested):
            _print_hanging(out, label, here)
            for item in nested:
                print_card(item, inner + 2, "- " if isinstance(value, (list, tuple)) else "")
            continue
        lines = (", ".join(map(str, nested)) or _cell(value, "{:.6g}")).splitlines()
        _print_hanging(out, label + ": " + (lines[0] if len(lines) == 1 else ""), here)
        for line in lines if len(lines) > 1 else []:
            _print_hanging(out, Text(line), inner + 2)


def print_lines(lines: Iterable[str]) -> None:
    """Plain lines, as long as they are."""
    out = console()
    for line in lines:
        out.print(Text(line), soft_wrap=True)


def _print_hanging(out: Console, text: Text, indent: int) -> None:
    """Print a text whose further lines, where it is too long for one, stand two columns further in."""
    for i, line in enumerate(text.wrap(out, max(20, out.width - indent - 2))):
        out.print(Text(" " * (indent + 2 * bool(i))) + line)


def _cell(value: Any, number: str = "{:.4f}") -> str:
    if value is None:
        return "—"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number.format(value) if value == 0 or abs(value) >= 1e-4 else f"{value:.1e}"
    return str(value)
