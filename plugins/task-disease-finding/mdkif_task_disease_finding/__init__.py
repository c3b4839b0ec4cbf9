"""The finding that belongs to a disease: a downstream task on the annotations of the Human Phenotype Ontology."""

from __future__ import annotations

from mdkif import Source, Task, hookimpl


@hookimpl
def mdkif_tasks() -> list[Task]:
    """The task `disease-finding`."""
    return [
        Task(
            name="disease-finding",
            title="HPO: the finding that belongs to a disease",
            category="knowledge-graph",
            track="unseen task",
            sources=(Source(dataset="hpo", options={"view": "finding"}),),
            template="disease-finding.jinja",
            package=__name__,
            evaluator="classification",
            metric="accuracy",
            normaliser="sum",
        )
    ]
