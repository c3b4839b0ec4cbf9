"""The downstream task on emrQA: answering a question about a patient with words of the note.

The context is a window of lines around the answer, an easier task than the papers' (`--data window=all`). Neither
paper says which 5,789 of the two million questions it took; here they are drawn, whole notes at a time.
"""

from mdkif import Source, Task, hookimpl


@hookimpl
def mdkif_tasks() -> list[Task]:
    """The task `emrqa`, with the sizes of STAF-LLM table 2."""
    return [
        Task(
            name="emrqa",
            title="emrQA: questions about a patient's record",
            category="question-answering",
            sources=(Source(dataset="emrqa", sizes=(4629, 580, 580)),),
            template="emrqa.jinja",
            package=__name__,
            papers=("SA-MDKIF tables 2 and 3", "STAF-LLM table 2"),
            track="unseen data",
            evaluator="generation",
            metric="exact_match",
        )
    ]
