"""Entity synonymy: the skill tells whether two medical terms mean the same, by the UMLS or an open ontology."""

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
            alternatives=tuple(
                Source(dataset=name, options={"view": "es"}) for name in ("disease-ontology", "hpo", "icd10cm")
            ),
            template="es.jinja",
            package=__name__,
            papers=("SA-MDKIF table 1", "STAF-LLM table 1"),
        )
    ]
