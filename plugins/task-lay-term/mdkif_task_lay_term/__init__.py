"""The medical term that a patient's words mean: a downstream task on the Human Phenotype Ontology."""

from __future__ import annotations

from mdkif import Source, Task, hookimpl


@hookimpl
def mdkif_tasks() -> list[Task]:
    """The task `lay-term`."""
    return [
        Task(
            name="lay-term",
            title="HPO: the medical term for a patient's words",
            category="question-answering",
            track="unseen task",
            sources=(Source(dataset="hpo", options={"view": "lay"}),),
            template="lay-term.jinja",
            package=__name__,
            evaluator="classification",
            metric="accuracy",
            normaliser="sum",
        )
    ]
