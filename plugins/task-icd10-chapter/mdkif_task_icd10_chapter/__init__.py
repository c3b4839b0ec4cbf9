"""The chapter of a diagnosis: a downstream task on the tabular list of ICD-10-CM, which is on every machine."""

from __future__ import annotations

from mdkif import Source, Task, hookimpl


@hookimpl
def mdkif_tasks() -> list[Task]:
    """The task `icd10-chapter`."""
    return [
        Task(
            name="icd10-chapter",
            title="ICD-10-CM: the chapter of a diagnosis",
            category="text-classification",
            track="unseen task",
            sources=(Source(dataset="icd10cm", options={"view": "chapter"}),),
            template="icd10-chapter.jinja",
            package=__name__,
            evaluator="classification",
            metric="accuracy",
            normaliser="pmi",
        )
    ]
