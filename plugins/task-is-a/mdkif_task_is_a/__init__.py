"""Ontology is-a relation: a downstream task that tells whether one concept is a kind of another."""

from __future__ import annotations

from mdkif import Source, Task, hookimpl


@hookimpl
def mdkif_tasks() -> list[Task]:
    """The task `is-a`."""
    return [
        Task(
            name="is-a",
            title="Ontology is-a relation",
            category="knowledge-graph",
            track="unseen task",
            sources=(Source(dataset="disease-ontology", options={"view": "isa"}),),
            alternatives=tuple(Source(dataset=name, options={"view": "isa"}) for name in ("hpo", "icd10cm")),
            template="is-a.jinja",
            package=__name__,
            evaluator="classification",
            metric="auroc",
            normaliser="sum",
        )
    ]
