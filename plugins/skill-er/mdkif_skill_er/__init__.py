"""Entity-entity relations: the skill names the relation between two concepts of UMLS or the Disease Ontology."""

from __future__ import annotations

from mdkif import Skill, Source, hookimpl


@hookimpl
def mdkif_skills() -> list[Skill]:
    """The skill `er`."""
    return [
        Skill(
            name="er",
            title="Entity-entity relations",
            category="knowledge-graph",
            sources=(Source(dataset="umls", options={"view": "er"}),),
            alternatives=(Source(dataset="disease-ontology", options={"view": "er"}),),
            template="er.jinja",
            package=__name__,
            papers=("SA-MDKIF table 1", "STAF-LLM table 1"),
        )
    ]
