"""The relation extraction skill, trained on MIMIC-Cause or, as an open stand-in, the DDI corpus."""

from mdkif import Skill, Source, hookimpl


@hookimpl
def mdkif_skills() -> list[Skill]:
    """The skill `re`."""
    return [
        Skill(
            name="re",
            title="Relations between two entities of a text",
            category="sequence-labelling",
            sources=(Source(dataset="mimic-cause", sizes=(1286, 714, 714)),),
            alternatives=(Source(dataset="ddi"),),
            template="re.jinja",
            package=__name__,
            papers=("SA-MDKIF table 1", "STAF-LLM table 1"),
        )
    ]
