"""The natural language inference skill, trained on MedNLI or, as an open stand-in, on PubMedQA read as inference.

A skill trained on the stand-in has learnt PubMedQA itself: a test on the task `pubmedqa` says nothing about it.
"""

from mdkif import Skill, Source, hookimpl


@hookimpl
def mdkif_skills() -> list[Skill]:
    """The skill `nli`."""
    return [
        Skill(
            name="nli",
            title="Natural language inference between clinical sentences",
            category="text-classification",
            sources=(Source(dataset="mednli", sizes=(1138, 142, 142)),),
            alternatives=(Source(dataset="pubmedqa", options={"view": "nli"}, sizes=(21_545, 802, 802)),),
            template="nli.jinja",
            package=__name__,
            papers=("SA-MDKIF table 1", "STAF-LLM table 1"),
        )
    ]
