"""A neighbour that keeps the contract: it has to work beside every other one of this folder."""

from mdkif import Skill, Source, hookimpl


@hookimpl
def mdkif_skills():
    return [
        Skill(
            name="good",
            title="A skill like any other",
            category="text-classification",
            sources=(Source(dataset="mednli"),),
            template="text-classification.jinja",
            package=__name__,
        )
    ]
