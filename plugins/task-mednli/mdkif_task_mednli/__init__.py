"""The downstream task on MedNLI: whether a hypothesis follows from a sentence of a clinical note.

STAF-LLM's 1,138, 142 and 142 records add up to the official test file: with the split policy `paper`, give
`mli_test_v1.jsonl` alone. SA-MDKIF tests on all 1,422.
"""

from mdkif import Source, Task, hookimpl


@hookimpl
def mdkif_tasks() -> list[Task]:
    """The task `mednli`."""
    return [
        Task(
            name="mednli",
            title="MedNLI: inference between sentences of clinical notes",
            category="text-classification",
            sources=(Source(dataset="mednli", sizes=(1138, 142, 142)),),
            template="mednli.jinja",
            package=__name__,
            papers=("SA-MDKIF tables 2 and 3", "STAF-LLM table 2"),
            track="unseen data",
            evaluator="classification",
            metric="accuracy",
            normaliser="sum",
        )
    ]
