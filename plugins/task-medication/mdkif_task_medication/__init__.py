"""Medication: a downstream task that finds which frequent drugs an admission to MIMIC's hospital will need.

The papers do not define the task beyond 500 labels of a text; here the labels are the 10 drugs with most admissions
among training patients (`--data top`), and the text what is known when the admission begins: a summary lists the
drugs.
"""

from __future__ import annotations

from mdkif import Source, Task, hookimpl


@hookimpl
def mdkif_tasks() -> list[Task]:
    """The task `medication`."""
    return [
        Task(
            name="medication",
            title="Medication recommendation from admission notes",
            category="text-classification",
            track="unseen task",
            sources=(Source(dataset="mimic-iii", options={"view": "medication"}, sizes=(33225, 1200, 1282)),),
            alternatives=(Source(dataset="mimic-iv", options={"view": "medication"}),),
            template="medication.jinja",
            package=__name__,
            evaluator="classification",
            metric="auroc",
            normaliser="pmi",
            multi_label=True,
            papers=("SA-MDKIF tables 2 and 3", "STAF-LLM table 2"),
        )
    ]
