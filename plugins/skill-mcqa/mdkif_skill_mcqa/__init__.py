"""The multiple-choice question answering skill, trained on MedQuAD and MedQA, or on MedMCQA."""

from mdkif import Skill, Source, hookimpl


@hookimpl
def mdkif_skills() -> list[Skill]:
    """The skill `mcqa`."""
    return [
        Skill(
            name="mcqa",
            title="Multiple-choice question answering",
            category="question-answering",
            sources=(
                Source(dataset="medquad", options={"view": "mcqa"}, sizes=(44_911, 1273, 1273)),
                Source(dataset="medqa"),
            ),
            alternatives=(Source(dataset="medmcqa"),),
            template="mcqa.jinja",
            package=__name__,
            papers=("SA-MDKIF table 1", "STAF-LLM table 1"),
        )
    ]
