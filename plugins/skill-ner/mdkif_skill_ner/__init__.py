"""The named entity recognition skill, trained on i2b2/VA 2010 or, in its place, the NCBI Disease corpus."""

from mdkif import Skill, Source, hookimpl


@hookimpl
def mdkif_skills() -> list[Skill]:
    """The skill `ner`."""
    return [
        Skill(
            name="ner",
            title="Named entity recognition in clinical and biomedical text",
            category="sequence-labelling",
            sources=(Source(dataset="i2b2", sizes=(911, 208, 208)),),
            alternatives=(Source(dataset="ncbi-disease"),),
            template="ner.jinja",
            package=__name__,
            papers=("SA-MDKIF table 1", "STAF-LLM table 1"),
        )
    ]
