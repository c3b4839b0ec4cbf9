"""The sentence that answers a question: a downstream task on MedQuAD whose options look alike."""

from __future__ import annotations

from mdkif import Source, Task, hookimpl


@hookimpl
def mdkif_tasks() -> list[Task]:
    """The task `first-sentence`."""
    return [
        Task(
            name="first-sentence",
            title="MedQuAD: the sentence that answers a question",
            category="question-answering",
            track="unseen task",
            sources=(Source(dataset="medquad", options={"view": "first"}),),
            template="first-sentence.jinja",
            package=__name__,
            evaluator="classification",
            metric="accuracy",
            normaliser="token-mean",
        )
    ]
