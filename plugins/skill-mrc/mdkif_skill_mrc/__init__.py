"""The reading comprehension skill: questions answered with words of a clinical text.

A task on emrQA is tested on notes that this skill never saw only with the split policy `official` or `8:2`, which both
divide notes by their names.
"""

from mdkif import Skill, Source, hookimpl


@hookimpl
def mdkif_skills() -> list[Skill]:
    """The skill `mrc`."""
    return [
        Skill(
            name="mrc",
            title="Reading comprehension of clinical text",
            category="sequence-labelling",
            sources=(Source(dataset="clicr"), Source(dataset="emrqa", sizes=(4629, 580, 580))),
            alternatives=(Source(dataset="medquad", options={"view": "cloze"}),),
            template="mrc.jinja",
            package=__name__,
            papers=("SA-MDKIF table 1", "STAF-LLM table 1"),
        )
    ]
