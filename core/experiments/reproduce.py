"""A recipe from end to end: the grid is laid out, what is not finished is computed, and the results are gathered."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..data.sources import Sources
from ..errors import BadInput
from ..store.files import atomic_file
from ..workspace import Workspace
from . import tables
from .cells import Failure, Job, Training
from .engines import Came, Engine
from .engines import engine as chosen
from .grid import plan
from .laboratory import Laboratory
from .recipe import Experiment, find
from .results import Results, gather


def reproduce(
    workspace: Workspace, recipe: str, sources: Sources, *, engine: str = "local", toy: bool = False, draws: int = 1000,
    skip_bad: bool = False,
) -> Results:  # fmt: skip
    """Compute what is not finished of a recipe, a TOML file or the name of one, and gather its results.

    `engine` is "local" or "ray", `draws` are those of the bootstrap, and `toy` makes everything small. Whatever ends
    this, even a kill, what is finished is never computed again, and what was begun goes on. A cell that fails is among
    the results, with its reason. Raises BadInput for a wrong recipe.
    """
    experiment, computing = find(workspace.plugins, recipe), chosen(engine)
    return finished(Laboratory(workspace, sources, skip_bad), experiment.toy() if toy else experiment, computing, draws)


def finished(laboratory: Laboratory, experiment: Experiment, engine: Engine, draws: int = 1000) -> Results:
    """The results of an experiment, of which the engine computes what a laboratory does not have."""
    grid = plan(experiment, laboratory)
    jobs = grid.jobs(laboratory)
    left = _unfinished(laboratory, jobs)
    progress = laboratory.workspace.progress
    for sentence in grid.missing:
        progress.note(f"Left out: {sentence}")
    progress.note(f"{len(jobs) - len(left)} of {len(jobs)} cells are finished, {len(left)} are computed now.")
    failures = []
    with progress.task("cells", len(jobs), len(jobs) - len(left)) as bar:

        def told(job: Job, came: Came) -> None:
            bar.advance(1, done=job.title)
            if isinstance(came, Failure) and came not in failures:
                failures.append(came)
                progress.note(f"Failed: {came.title}: {came.reason}")

        engine.run(laboratory, left, told)
    results = gather(grid, laboratory, draws)
    results.failures = failures
    return results


def _unfinished(laboratory: Laboratory, jobs: Sequence[Job]) -> list[Job]:
    """The cells without a result, and the trainings without one that these need."""
    cells = [job for job in jobs if not isinstance(job, Training) and laboratory.result(job) is None]
    needed = {laboratory.key(each) for cell in cells for each in cell.needs}
    wanted = {laboratory.key(cell) for cell in cells}
    wanted |= {laboratory.key(job) for job in jobs
               if laboratory.key(job) in needed and laboratory.result(job) is None}  # fmt: skip
    return [job for job in jobs if laboratory.key(job) in wanted]


def write(results: Results, folder: Path) -> list[Path]:
    """The table as Markdown, LaTeX and CSV and, where the recipe has one, the figure as SVG; returns the files.

    Raises BadInput for a figure where matplotlib is not installed, with the tables written.
    """
    texts = {"table.md": tables.markdown(results), "table.tex": tables.latex(results),
             "table.csv": tables.separated(results)}  # fmt: skip
    written = [_write(folder / name, text) for name, text in texts.items()]
    if not (results.experiment.vary or results.experiment.figure):
        return written
    try:
        from .figures import svg
    except ImportError:
        raise BadInput("The figure needs matplotlib: pip install 'mdkif[figures]'; the tables are written.") from None
    return [*written, _write(folder / "figure.svg", svg(results))]


def _write(path: Path, text: str) -> Path:
    with atomic_file(path) as part:
        part.write_text(text, encoding="utf-8")
    return path
