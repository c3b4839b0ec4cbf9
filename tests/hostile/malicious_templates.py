"""Its declarations are as they should be; its templates want what is not theirs."""

from mdkif import Skill, Source, hookimpl

TEMPLATES = ("escape", "attribute", "endless", "etc-passwd", "climb", "recursion")


@hookimpl
def mdkif_skills():
    return [
        Skill(
            name=f"evil-{name}",
            title="A template that is no friend",
            category="text-classification",
            sources=(Source(dataset="mednli"),),
            template=f"{name}.jinja",
            package=__name__,
        )
        for name in TEMPLATES
    ]
