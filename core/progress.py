"""Progress of long work: a bar with its figures and the time left. What is here is silent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


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
