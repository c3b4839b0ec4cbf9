"""The summarisation skill: a patient's message condensed to its question."""

from mdkif import Skill, Source, hookimpl


@hookimpl
def mdkif_skills() -> list[Skill]:
    """The skill `ts`."""
    return [
        Skill(
            name="ts",
            title="Summarisation of patients' questions",
            category="sequence-to-sequence",
            sources=(Source(dataset="meqsum"),),
            template="ts.jinja",
            package=__name__,
            papers=("SA-MDKIF table 1", "STAF-LLM table 1"),
        )
    ]
