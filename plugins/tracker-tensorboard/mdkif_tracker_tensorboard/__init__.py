"""Runs as TensorBoard's event files, in the folder that `$MDKIF_TENSORBOARD` names; without it nothing is written."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mdkif import Run, hookimpl

if TYPE_CHECKING:
    from tensorboardX import SummaryWriter

FOLDER = "MDKIF_TENSORBOARD"


@dataclass
class Board:
    """The event file of a run, and the step it has reached."""

    writer: SummaryWriter
    step: int = 0


_boards: dict[str, Board] = {}


@hookimpl
def mdkif_run_began(run: Run) -> None:
    """Open the run's event file, and write down what it is."""
    if not (folder := os.environ.get(FOLDER)):
        return
    from tensorboardX import SummaryWriter

    # an absolute path is local: "s3://…" would be uploaded
    board = Board(SummaryWriter(str(Path(folder).expanduser().absolute() / run.id), flush_secs=5))
    facts = {"stage": run.stage, "name": run.name, "base": run.base, **run.settings}
    board.writer.add_text("run", "\n".join(["| | |", "|---|---|", *(f"| {k} | {v} |" for k, v in facts.items())]))
    _boards[run.id] = board


@hookimpl
def mdkif_stepped(run: Run, step: int, figures: Mapping[str, float]) -> None:
    """Write a point of every curve."""
    if board := _boards.get(run.id):
        board.step = step
        for name, value in figures.items():
            board.writer.add_scalar(name, value, step)


@hookimpl
def mdkif_evaluated(run: Run, target: str, metrics: Mapping[str, float]) -> None:
    """Write what was measured, at the step where the run is."""
    if board := _boards.get(run.id):
        for name, value in metrics.items():
            board.writer.add_scalar(f"{name}/{target.replace(':', '-')}", value, board.step)


@hookimpl
def mdkif_run_ended(run: Run, outcome: str) -> None:
    """Write how it ended, and close the file."""
    if board := _boards.pop(run.id, None):
        board.writer.add_text("outcome", outcome, board.step)
        board.writer.close()
