"""Entity synonymy: the skill tells whether two medical terms mean the same, with UMLS or Disease Ontology synonyms."""

from __future__ import annotations

from mdkif import Skill, Source, hookimpl


@hookimpl
def mdkif_skills() -> list[Skill]:
    """The skill `es`."""
    return [
        Skill(
            name="es",
            title="Entity synonymy",
            category="knowledge-graph",
            sources=(Source(dataset="umls", options={"view": "es"}),),
            alternatives=(Source(dataset="disease-ontology", options={"view": "es"}),),
            template="es.jinja",
            package=__name__,
            papers=("SA-MDKIF table 1", "STAF-LLM table 1"),
        )
    ]
