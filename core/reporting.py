"""What a person sees: tables and bars that read well at 80 columns, in any terminal, and piped."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .progress import Progress, RichProgress

BAR = 28


def console() -> Console:
    """Stdout, 100 columns wide where it is no terminal, with colour only where the terminal wants it."""
    plain = Console(highlight=False)
    return plain if plain.is_terminal else Console(highlight=False, width=100)


def progress() -> Progress:
    """Bars and notes on stderr."""
    return RichProgress()


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def print_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], title: str = "") -> None:
    """A table of the named columns; numbers are right-aligned with four decimals."""
    table = Table(title=title or None, box=None, title_justify="left", pad_edge=False, header_style="bold")
    for column in columns:
        numeric = all(isinstance(row.get(column), (int, float)) for row in rows) and bool(rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(row.get(column))) for column in columns))
    console().print(table)


def print_weights(weights: Mapping[str, float], title: str) -> None:
    """The router's weights as bars, largest first; the longest bar is the largest weight."""
    out = console()
    out.print(Text(title, style="bold"))
    largest = max((abs(w) for w in weights.values()), default=0.0) or 1.0
    for name, weight in sorted(weights.items(), key=lambda item: -item[1]):
        bar = "█" * round(BAR * abs(weight) / largest)
        out.print(Text(f"  {name:<14}{weight:>7.3f}  ") + Text(bar, style="cyan"))


def print_card(card: Mapping[str, Any], indent: int = 0) -> None:
    """A card as indented lines, nested values below their name; empty ones are left out."""
    out = console()
    for key, value in card.items():
        if value in (None, "", (), [], {}):
            continue
        label = " " * indent + key.replace("_", " ")
        if isinstance(value, Mapping):
            out.print(Text(label, style="bold"))
            print_card(value, indent + 2)
        elif isinstance(value, (list, tuple)) and any(isinstance(v, Mapping) for v in value):
            out.print(Text(label, style="bold"))
            for item in value:
                print_card(item, indent + 2)
        else:
            text = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else _cell(value)
            body = (
                text if "\n" not in text else "\n" + "\n".join(" " * (indent + 2) + line for line in text.splitlines())
            )
            out.print(Text(f"{label}: ", style="bold") + Text(body))


def print_lines(lines: Iterable[str]) -> None:
    """Plain lines."""
    out = console()
    for line in lines:
        out.print(Text(line))


def _cell(value: Any) -> str:
    if value is None:
        return "—"
    return f"{value:.4f}" if isinstance(value, float) else str(value)
