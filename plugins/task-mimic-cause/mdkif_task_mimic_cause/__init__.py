"""The downstream task on MIMIC-Cause: which of nine causal relations two entities of a clinical note have."""

from mdkif import Source, Task, hookimpl


@hookimpl
def mdkif_tasks() -> list[Task]:
    """The task `mimic-cause`."""
    return [
        Task(
            name="mimic-cause",
            title="MIMIC-Cause: causal relations in clinical notes",
            category="sequence-labelling",
            sources=(Source(dataset="mimic-cause", sizes=(1286, 714, 714)),),
            template="mimic-cause.jinja",
            package=__name__,
            papers=("SA-MDKIF tables 2 and 3", "STAF-LLM table 2"),
            track="unseen data",
            evaluator="classification",
            metric="accuracy",
            normaliser="sum",
        )
    ]
