"""The term that a text defines: a downstream task on the Human Phenotype Ontology, which is on every machine."""

from __future__ import annotations

from mdkif import Source, Task, hookimpl


@hookimpl
def mdkif_tasks() -> list[Task]:
    """The task `definition`."""
    return [
        Task(
            name="definition",
            title="HPO: the term that a text defines",
            category="question-answering",
            track="unseen task",
            sources=(Source(dataset="hpo", options={"view": "definition"}),),
            template="definition.jinja",
            package=__name__,
            evaluator="classification",
            metric="accuracy",
            normaliser="sum",
        )
    ]
