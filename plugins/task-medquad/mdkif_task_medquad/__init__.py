"""The downstream task on MedQuAD: picking the right one of four answers to a consumer health question.

MedQuAD has no choices of its own, and the papers do not say where theirs came from: mdkif-dataset-medquad makes them.
The skill `mcqa` learns from the same data; under one split policy the two never share a question.
"""

from mdkif import Source, Task, hookimpl


@hookimpl
def mdkif_tasks() -> list[Task]:
    """The task `medquad`."""
    return [
        Task(
            name="medquad",
            title="MedQuAD: consumer health questions with four answers each",
            category="question-answering",
            sources=(Source(dataset="medquad", options={"view": "mcqa"}, sizes=(44_911, 1273, 1273)),),
            template="medquad.jinja",
            package=__name__,
            papers=("SA-MDKIF tables 2 and 3", "STAF-LLM table 2"),
            track="unseen data",
            evaluator="classification",
            metric="accuracy",
            normaliser="sum",
        )
    ]
