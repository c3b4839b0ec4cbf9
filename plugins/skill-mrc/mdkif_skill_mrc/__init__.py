"""The reading comprehension skill and its own data set, CliCR."""

from mdkif import Dataset, Skill, Source, hookimpl


@hookimpl
def mdkif_datasets() -> list[Dataset]:
    """The data set `clicr`."""
    return [
        Dataset(
            name="clicr",
            title="CliCR: cloze questions about clinical case reports",
            target="mdkif_skill_mrc.clicr:convert",
            licence="for research, by agreement with BMJ Case Reports",
            access="from its authors, for research",
            homepage="https://github.com/clips/clicr",
            citation="Šuster and Daelemans 2018, CliCR: A Dataset of Clinical Case Reports for Machine Reading "
            "Comprehension, NAACL",
            options={
                "window": "sentences before and after the answer that are the context, after the title (2), or all",
                "notfound": "leave-out (default) or keep queries none of whose answers stand in the case report",
            },
            stand_in="medquad",
        )
    ]


@hookimpl
def mdkif_skills() -> list[Skill]:
    """The skill `mrc`."""
    return [
        Skill(
            name="mrc",
            title="Reading comprehension of clinical text",
            category="sequence-labelling",
            sources=(Source(dataset="clicr"), Source(dataset="emrqa", sizes=(4629, 580, 580))),
            alternatives=(Source(dataset="medquad", options={"view": "cloze"}),),
            template="mrc.jinja",
            package=__name__,
            papers=("SA-MDKIF table 1", "STAF-LLM table 1"),
        )
    ]
