"""Entity attributes: the skill explains a medical concept, with the definitions of the UMLS or of an open ontology."""

from __future__ import annotations

from mdkif import Skill, Source, hookimpl


@hookimpl
def mdkif_skills() -> list[Skill]:
    """The skill `ea`."""
    return [
        Skill(
            name="ea",
            title="Entity attributes",
            category="knowledge-graph",
            sources=(Source(dataset="umls", options={"view": "ea"}),),
            alternatives=tuple(
                Source(dataset=name, options={"view": "ea"}) for name in ("disease-ontology", "hpo", "icd10cm")
            ),
            template="ea.jinja",
            package=__name__,
            papers=("SA-MDKIF table 1", "STAF-LLM table 1"),
        )
    ]
