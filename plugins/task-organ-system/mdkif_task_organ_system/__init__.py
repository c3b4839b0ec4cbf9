"""The organ system of a finding: a downstream task on the Human Phenotype Ontology, which is on every machine."""

from __future__ import annotations

from mdkif import Source, Task, hookimpl


@hookimpl
def mdkif_tasks() -> list[Task]:
    """The task `organ-system`."""
    return [
        Task(
            name="organ-system",
            title="HPO: the organ system of a finding",
            category="text-classification",
            track="unseen task",
            sources=(Source(dataset="hpo", options={"view": "system"}),),
            template="organ-system.jinja",
            package=__name__,
            evaluator="classification",
            metric="accuracy",
            normaliser="pmi",
        )
    ]
