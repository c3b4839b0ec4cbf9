"""A skill with its data set: what a note says, in a few words."""

from mdkif import Dataset, Record, Skill, Source, hookimpl


@hookimpl
def mdkif_datasets():
    """The data set."""
    target = f"{__name__}:convert"
    return [
        Dataset(name="case", title="Notes", target=target, licence="CC0", access="open", homepage="https://example.org")
    ]


@hookimpl
def mdkif_skills():
    """The skill."""
    return [
        Skill(
            name="case",
            title="Summaries",
            category="sequence-to-sequence",
            sources=(Source(dataset="case"),),
            template="sequence-to-sequence.jinja",
            package=__name__,
        )
    ]


def convert(source, conversion):
    """A record for each row: a note, and its summary."""
    path = source / "notes.tsv"
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        note, _, summary = line.partition("\t")
        query, context = "Summarise the note.", note
        if note.strip() and summary.strip():
            yield Record(
                id=f"case/{number}", query=query, context=context, answer=summary, source=f"notes.tsv:{number}"
            )
        else:
            conversion.malformed(path, number, "is not a note and its summary")
