"""The downstream task on PubMedQA: deciding yes, no or maybe from an abstract."""

from mdkif import Source, Task, hookimpl


@hookimpl
def mdkif_tasks() -> list[Task]:
    """The task `pubmedqa`."""
    return [
        Task(
            name="pubmedqa",
            title="PubMedQA: yes, no or maybe from an abstract",
            category="question-answering",
            sources=(Source(dataset="pubmedqa", sizes=(21_545, 802, 802)),),
            template="pubmedqa.jinja",
            package=__name__,
            papers=("SA-MDKIF tables 2 and 3", "STAF-LLM table 2", "MediLoRA table 4"),
            track="unseen data",
            evaluator="classification",
            metric="accuracy",
            normaliser="sum",
            truncation_side="left",
        )
    ]
