"""ICD coding: a downstream task that finds the frequent diagnoses a discharge summary of MIMIC documents.

The papers do not say how their labels were chosen; here they are the 10 diagnoses with most admissions among training
patients (`--data top`, `--data codes`). The labels of MIMIC-III and MIMIC-IV differ: give one of them at a time.
"""

from __future__ import annotations

from mdkif import Source, Task, hookimpl


@hookimpl
def mdkif_tasks() -> list[Task]:
    """The task `icd-coding`."""
    return [
        Task(
            name="icd-coding",
            title="ICD coding of discharge summaries",
            category="text-classification",
            track="unseen task",
            sources=(Source(dataset="mimic-iii", options={"view": "icd"}, sizes=(41315, 1500, 1584)),),
            alternatives=(Source(dataset="mimic-iv", options={"view": "icd"}),),
            template="icd-coding.jinja",
            package=__name__,
            evaluator="classification",
            metric="auroc",
            normaliser="pmi",
            multi_label=True,
            papers=("SA-MDKIF tables 2 and 3", "STAF-LLM table 2"),
        )
    ]
