"""Progress as a person sees it: bars on stderr, drawn by rich."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..progress import Bar, Progress


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
        self._console.print(text, highlight=False, markup=False, emoji=False, soft_wrap=True)


class _RichBar(Bar):
    def __init__(self, display: Any, task: Any) -> None:
        self._display, self._task = display, task

    def advance(self, by: int = 1, /, **figures: str) -> None:
        shown = "  ".join(f"{name} {value}" for name, value in figures.items())
        self._display.update(self._task, advance=by, **({"figures": shown} if shown else {}))
