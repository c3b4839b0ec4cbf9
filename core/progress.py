"""Progress of long work, on stderr: a bar with its figures and the time left, or silence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Bar:
    """One piece of work of known length; this one is silent."""

    def advance(self, by: int = 1, /, **figures: str) -> None:
        """Note that `by` more units are done, and the figures to show beside the bar."""


class Progress:
    """Where progress is shown; this one is silent. The command line gives a `RichProgress`."""

    @contextmanager
    def task(self, title: str, total: int, done: int = 0) -> Iterator[Bar]:
        """Show a bar for `total` units of which `done` were done before."""
        yield Bar()

    def note(self, text: str) -> None:
        """Say one line, such as a warning or what comes next."""


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
