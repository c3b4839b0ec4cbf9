"""What the stages tell of their work, and to whom: a listener that fails is cut off, and the work goes on."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from secrets import token_hex
from types import MappingProxyType
from typing import Any

from ..progress import Progress
from .discovery import Plugins
from .explanation import explained
from .hookspecs import Outcome, Run, Stage


class Following:
    """A run, as its stage tells of it; this one has no listeners."""

    def step(self, number: int, /, **figures: float) -> None:
        """A step is done, the first is 1."""

    def evaluated(self, target: str, metrics: Mapping[str, float]) -> None:
        """Something was measured."""


class Events:
    """What the listeners among the plugins are told; `progress` hears of those that fail."""

    def __init__(self, plugins: Plugins, progress: Progress) -> None:
        self._plugins, self._progress = plugins, progress

    @contextmanager
    def run(self, stage: Stage, name: str, base: str, settings: Mapping[str, Any]) -> Iterator[Following]:
        """Tell that a run begins, and how it ends, whatever happens in the block."""
        key = f"{stage}-{name}-{time.strftime('%Y%m%d-%H%M%S')}-{token_hex(3)}"
        run = Run(id=key, stage=stage, name=name, base=base, settings=MappingProxyType(dict(settings)))
        self.tell("mdkif_run_began", run=run)
        outcome: Outcome = "failed"
        try:
            yield _Followed(self, run)
            outcome = "finished"
        except KeyboardInterrupt:
            outcome = "interrupted"
            raise
        finally:
            self.tell("mdkif_run_ended", run=run, outcome=outcome)

    def tell(self, hook: str, **payload: object) -> None:
        """Call the listeners of an event. One that raises is reported, and told nothing more."""
        for plugin, listener in self._plugins.listeners(hook):
            try:
                with _random_state_kept(), redirect_stdout(sys.stderr):
                    listener(**payload)
            except (KeyboardInterrupt, GeneratorExit):
                raise
            except BaseException as error:  # it may even call sys.exit; the work goes on
                self._plugins.cut_off(plugin)
                reason, remedy = explained(error, plugin.dist, plugin.module)
                self._progress.note(f"{plugin.dist} failed in {hook} ({reason}) and is told nothing more: {remedy}.")


class _Followed(Following):
    def __init__(self, events: Events, run: Run) -> None:
        self._events, self._run = events, run

    def step(self, number: int, /, **figures: float) -> None:
        self._events.tell("mdkif_stepped", run=self._run, step=number, figures=MappingProxyType(figures))

    def evaluated(self, target: str, metrics: Mapping[str, float]) -> None:
        shown = MappingProxyType(dict(metrics))
        self._events.tell("mdkif_evaluated", run=self._run, target=target, metrics=shown)


@contextmanager
def _random_state_kept() -> Iterator[None]:
    """What a listener draws on the processor must not change what is trained or searched."""
    torch, numpy = sys.modules.get("torch"), sys.modules.get("numpy")
    own, arrays, tensors = random.getstate(), numpy and numpy.random.get_state(), torch and torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(own)
        if numpy:
            numpy.random.set_state(arrays)
        if torch:
            torch.set_rng_state(tensors)
