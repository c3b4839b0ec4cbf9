"""A skill with its data set: the drugs a note names."""

from mdkif import Dataset, Record, Skill, Source, format_entities, hookimpl


@hookimpl
def mdkif_datasets():
    """The data set."""
    target = f"{__name__}:convert"
    return [
        Dataset(name="case", title="Drugs", target=target, licence="CC0", access="open", homepage="https://example.org")
    ]


@hookimpl
def mdkif_skills():
    """The skill."""
    return [
        Skill(
            name="case",
            title="Drugs",
            category="sequence-labelling",
            sources=(Source(dataset="case"),),
            template="sequence-labelling.jinja",
            package=__name__,
        )
    ]


def convert(source, conversion):
    """A record for each row: a note, and a drug of it."""
    path = source / "notes.tsv"
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        note, _, drug = line.partition("\t")
        start = note.find(drug) if drug else -1
        if start < 0:
            conversion.malformed(path, number, "is not a note and a drug of it")
            continue
        found = format_entities(note, [("drug", start, start + len(drug))])
        yield Record(id=f"case/{number}", query="Which drugs?", context=note, source=f"notes.tsv:{number}", **found)
