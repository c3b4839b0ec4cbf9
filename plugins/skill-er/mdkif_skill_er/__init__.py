"""Entity-entity relations: the skill names the relation between two concepts of the UMLS or an open ontology."""

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
            alternatives=tuple(
                Source(dataset=name, options={"view": "er"}) for name in ("disease-ontology", "hpo", "icd10cm")
            ),
            template="er.jinja",
            package=__name__,
            papers=("SA-MDKIF table 1", "STAF-LLM table 1"),
        )
    ]
