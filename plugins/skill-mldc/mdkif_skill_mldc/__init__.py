"""The multi-label document classification skill: every class of concepts that a document mentions."""

from mdkif import Skill, Source, hookimpl


@hookimpl
def mdkif_skills() -> list[Skill]:
    """The skill `mldc`."""
    return [
        Skill(
            name="mldc",
            title="Multi-label document classification",
            category="text-classification",
            sources=(Source(dataset="wikimed"),),
            alternatives=(Source(dataset="hoc"),),
            template="mldc.jinja",
            package=__name__,
            papers=("SA-MDKIF table 1", "STAF-LLM table 1"),
            normaliser="pmi",
            multi_label=True,
        )
    ]
