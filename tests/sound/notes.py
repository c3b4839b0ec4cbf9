"""A task with its data set: how soon a patient must be seen."""

from mdkif import BadInput, Dataset, Record, Source, Task, format_choices, hookimpl

LEVELS = ("now", "today", "later")


@hookimpl
def mdkif_datasets():
    """The data set."""
    target = f"{__name__}:convert"
    return [
        Dataset(name="case", title="Notes", target=target, licence="CC0", access="open", homepage="https://example.org")
    ]


@hookimpl
def mdkif_tasks():
    """The task."""
    return [
        Task(
            name="case",
            title="How soon",
            category="text-classification",
            sources=(Source(dataset="case"),),
            template="text-classification.jinja",
            package=__name__,
            track="unseen data",
            evaluator="classification",
            metric="accuracy",
        )
    ]


def convert(source, conversion):
    """A record for each row: patient, note and level."""
    path = source / "notes.tsv"
    if not path.is_file():
        raise BadInput(f"There is no notes.tsv in {source}: give the folder as its owner distributes it.")
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        cells = line.split("\t")
        if len(cells) != 3 or cells[2] not in LEVELS:
            conversion.malformed(path, number, "is not a patient, a note and a level")
            continue
        patient, note, level = cells
        listed = format_choices("How soon must the patient be seen?", LEVELS, [level])
        yield Record(id=f"case/{number}", context=note, group=patient, source=f"notes.tsv:{number}", **listed)
