"""Readmission: a downstream task that tells from a discharge summary whether the patient is back within 30 days.

Labels follow ClinicalBERT's rule, with as many negatives as positives and without its 400 more for training, so the
papers' sizes are taken as shares. A patient is in one split; `--data split_by=admission` splits as ClinicalBERT did.
"""

from __future__ import annotations

from mdkif import Source, Task, hookimpl


@hookimpl
def mdkif_tasks() -> list[Task]:
    """The task `readmission`."""
    return [
        Task(
            name="readmission",
            title="Readmission within 30 days of discharge",
            category="text-classification",
            track="unseen task",
            sources=(Source(dataset="mimic-iii", options={"view": "readmission"}, sizes=(5108, 580, 575)),),
            alternatives=(Source(dataset="mimic-iv", options={"view": "readmission"}),),
            template="readmission.jinja",
            package=__name__,
            evaluator="classification",
            metric="auroc",
            normaliser="pmi",
            papers=("SA-MDKIF tables 2 and 3", "STAF-LLM table 2"),
        )
    ]
