"""The question answering skill, trained on PubMedQA."""

from mdkif import Skill, Source, hookimpl


@hookimpl
def mdkif_skills() -> list[Skill]:
    """The skill `qa`."""
    return [
        Skill(
            name="qa",
            title="Question answering from biomedical abstracts",
            category="question-answering",
            sources=(Source(dataset="pubmedqa", sizes=(21_545, 802, 802)),),
            template="qa.jinja",
            package=__name__,
            papers=("SA-MDKIF table 1", "STAF-LLM table 1"),
            truncation_side="left",
        )
    ]
