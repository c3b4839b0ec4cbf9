"""What a person sees: tables and bars that read well at 80 columns, in any terminal, and piped."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import click

from ..progress import Bar, Progress

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

BAR, GAP, ENDLESS = 28, 2, 1 << 16


SHOWN, CONTROLS = "\n\t", (*range(32), *range(127, 160))
_HIDDEN = {code: "?" for code in CONTROLS if chr(code) not in SHOWN}


def plain(text: str) -> str:
    """A text that may be of others, without the control characters (C0 and C1) by which a terminal takes orders."""
    return text.translate(_HIDDEN)


def line_width() -> int:
    """The characters of a line of stdout: `$COLUMNS`, the terminal's or, in a pipe or a file, as many as there are."""
    return shutil.get_terminal_size((ENDLESS, 0)).columns


def console() -> Console:
    """Stdout, as wide as `line_width`, with colour only where the terminal wants it."""
    from rich.console import Console

    return Console(highlight=False, width=line_width())


def progress() -> Progress:
    """Bars and notes on stderr."""
    return RichProgress()


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    print(text.translate({code: f"\\u{code:04x}" for code in CONTROLS if code >= 127}))


def print_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], title: str = "") -> None:
    """A table of the named columns; numbers are right-aligned with four decimals.

    What is too long for the terminal goes on in the next line, and only a word longer than that is broken; in a pipe
    every row is one line. Drawn by hand: `mdkif list` would spend a third of its time in `rich.table`.
    """
    cells = [[column.replace("_", " ") for column in columns]]
    cells += [[_cell(row.get(column)) for column in columns] for row in rows]
    if line_width() == ENDLESS:
        cells = [[" ".join(cell.splitlines()) for cell in row] for row in cells]
    numeric = [bool(rows) and all(isinstance(row.get(name), (int, float)) for row in rows) for name in columns]
    widths = _widths(cells, line_width())
    if title:
        click.secho(title, bold=True)
    for i, row in enumerate(cells):
        folded = [_folded(cell, width) for cell, width in zip(row, widths, strict=True)]
        for line in zip_longest(*folded, fillvalue=""):
            aligned = [
                part.rjust(width) if right else part.ljust(width)
                for part, width, right in zip(line, widths, numeric, strict=True)
            ]
            click.secho((" " * GAP).join(aligned).rstrip(), bold=i == 0)


def _widths(cells: Sequence[Sequence[str]], width: int) -> list[int]:
    """The columns' widths: the widest give way first, and none breaks a word while another has room."""
    columns = list(zip(*cells, strict=True))
    widths = [max(len(line) for cell in column for line in (cell.splitlines() or [""])) for column in columns]
    least = [max(len(word) for cell in column for word in (cell.split() or [""])) for column in columns]
    while sum(widths) + GAP * (len(widths) - 1) > width and max(widths, default=0) > 1:
        loose = [i for i, most in enumerate(widths) if most > least[i]] or range(len(widths))
        widths[max(loose, key=lambda i: widths[i])] -= 1
    return widths


def _folded(cell: str, width: int) -> list[str]:
    lines = cell.splitlines() or [""]
    if all(len(line) <= width for line in lines):
        return lines
    return [part for line in lines for part in wrap(line, width, break_on_hyphens=False) or [""]]


def print_weights(weights: Mapping[str, float], title: str) -> None:
    """The router's weights as bars, largest first; the longest bar is the largest weight."""
    from rich.text import Text

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
    from rich.text import Text

    out, inner = console(), indent + len(mark)
    for key, value in card.items():
        if value in (None, "", (), [], {}):
            continue
        label = Text(mark + plain(key if inner else key.replace("_", " ")), style="bold")
        here, mark = inner - len(mark), ""
        nested = [value] if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else []
        if any(isinstance(item, Mapping) for item in nested):
            _print_hanging(out, label, here)
            for item in nested:
                print_card(item, inner + 2, "- " if isinstance(value, (list, tuple)) else "")
            continue
        lines = plain(", ".join(map(str, nested)) or _cell(value, "{:.6g}")).splitlines()
        _print_hanging(out, label + ": " + (lines[0] if len(lines) == 1 else ""), here)
        for line in lines if len(lines) > 1 else []:
            _print_hanging(out, Text(line), inner + 2)


def print_lines(lines: Iterable[str]) -> None:
    """Plain lines, as long as they are."""
    from rich.text import Text

    out = console()
    for line in lines:
        out.print(Text(plain(line)), soft_wrap=True)


def _print_hanging(out: Console, text: Text, indent: int) -> None:
    """Print a text whose further lines, where it is too long for one, stand two columns further in."""
    from rich.text import Text

    for i, line in enumerate(text.wrap(out, max(20, out.width - indent - 2))):
        out.print(Text(" " * (indent + 2 * bool(i))) + line)


def _cell(value: Any, number: str = "{:.4f}") -> str:
    if value is None:
        return "—"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number.format(value) if value == 0 or abs(value) >= 1e-4 else f"{value:.1e}"
    return plain(str(value))


class RichProgress(Progress):
    """Bars and notes on stderr, drawn by rich; plain lines where stderr is no terminal."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True)
        self._display: Any = None

    @contextmanager
    def task(self, title: str, total: int, done: int = 0) -> Iterator[Bar]:
        """Show a bar with figures and an estimate of the time left, below those of the work it is a part of."""
        with self._one_display() as display:
            yield _RichBar(display, display.add_task(title, total=total, completed=done, figures=""))

    @contextmanager
    def _one_display(self) -> Iterator[Any]:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Display

        if self._display is not None:
            yield self._display
            return
        columns = (
            TextColumn("{task.description:<20}", markup=False),
            BarColumn(bar_width=12),
            MofNCompleteColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("{task.fields[figures]}", markup=False),
        )
        try:
            with Display(*columns, console=self._console) as self._display:
                yield self._display
        finally:
            self._display = None

    def note(self, text: str) -> None:
        """Print one line to stderr."""
        self._console.print(plain(text), highlight=False, markup=False, emoji=False, soft_wrap=True)


class _RichBar(Bar):
    def __init__(self, display: Any, task: Any) -> None:
        self._display, self._task = display, task

    def advance(self, by: int = 1, /, **figures: str) -> None:
        shown = "  ".join(f"{name} {value}" for name, value in figures.items())
        self._display.update(self._task, advance=by, **({"figures": shown} if shown else {}))
