"""CliNER: a downstream task that finds the problems, tests and treatments a sentence of a clinical note names."""

from __future__ import annotations

from mdkif import Source, Task, hookimpl


@hookimpl
def mdkif_tasks() -> list[Task]:
    """The task `cliner`."""
    return [
        Task(
            name="cliner",
            title="CliNER: problems, tests and treatments in clinical notes",
            category="sequence-labelling",
            track="unseen data",
            sources=(Source(dataset="i2b2", sizes=(911, 208, 208)),),
            template="cliner.jinja",
            package=__name__,
            evaluator="entities",
            metric="f1",
            papers=("SA-MDKIF tables 2 and 3", "STAF-LLM table 2"),
        )
    ]
