"""It forgot a comma: its sources are no tuple."""

from mdkif import Skill, Source, hookimpl


@hookimpl
def mdkif_skills():
    source = Source(dataset="mednli")
    facts = {"category": "text-classification", "template": "text-classification.jinja", "package": __name__}
    return [Skill(name="alone", title="A comma is missing", sources=(source), **facts)]
