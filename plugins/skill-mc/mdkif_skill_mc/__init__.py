"""The medical conversation skill: a doctor's reply to a patient."""

from mdkif import Skill, Source, hookimpl


@hookimpl
def mdkif_skills() -> list[Skill]:
    """The skill `mc`."""
    return [
        Skill(
            name="mc",
            title="Medical conversation: a doctor's reply to a patient",
            category="sequence-to-sequence",
            sources=(Source(dataset="healthcaremagic"),),
            alternatives=(Source(dataset="chatdoctor"),),
            template="mc.jinja",
            package=__name__,
            papers=("SA-MDKIF table 1", "STAF-LLM table 1"),
        )
    ]
