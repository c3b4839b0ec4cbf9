"""The text summarisation skill and its own data set, MeQSum."""

from mdkif import Dataset, Skill, Source, hookimpl


@hookimpl
def mdkif_datasets() -> list[Dataset]:
    """The data set `meqsum`."""
    return [
        Dataset(
            name="meqsum",
            title="MeQSum: consumer health questions with expert summaries",
            target="mdkif_skill_ts.meqsum:convert",
            licence="CC BY 4.0",
            access="open",
            homepage="https://github.com/abachaa/MeQSum",
            citation="Ben Abacha and Demner-Fushman 2019, On the Summarization of Consumer Health Questions, ACL",
        )
    ]


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
