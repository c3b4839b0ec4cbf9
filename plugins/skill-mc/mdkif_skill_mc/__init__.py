"""The medical conversation skill and its own data sets, HealthCareMagic and the open ChatDoctor dialogues."""

from mdkif import Dataset, Skill, Source, hookimpl

CITATION = "Li et al. 2023, ChatDoctor: A Medical Chat Model Fine-Tuned on LLaMA Using Medical Domain Knowledge, Cureus"
HOMEPAGE = "https://github.com/Kent0n-Li/ChatDoctor"


@hookimpl
def mdkif_datasets() -> list[Dataset]:
    """The data sets `healthcaremagic` and `chatdoctor`, which share a layout."""
    return [
        Dataset(
            name="healthcaremagic",
            title="HealthCareMagic-100k: patients' questions with the replies of doctors",
            target="mdkif_skill_mc.healthcaremagic:convert",
            licence="not stated apart from the Apache-2.0 of the code",
            access="one file (HealthCareMagic-100k.json) linked from the repository",
            homepage=HOMEPAGE,
            citation=CITATION,
            stand_in="chatdoctor",
        ),
        Dataset(
            name="chatdoctor",
            title="ChatDoctor 5k: patients' questions with the replies of a language model",
            target="mdkif_skill_mc.healthcaremagic:convert",
            licence="Apache-2.0",
            access="open",
            homepage=HOMEPAGE,
            citation=CITATION,
        ),
    ]


@hookimpl
def mdkif_skills() -> list[Skill]:
    """The skill `mc`."""
    return [
        Skill(
            name="mc",
            title="Medical conversation: a doctor's reply to a patient",
            category="sequence-to-sequence",
            sources=(Source(dataset="healthcaremagic"),),
            alternatives=(Source(dataset="chatdoctor"),),
            template="mc.jinja",
            package=__name__,
            papers=("SA-MDKIF table 1", "STAF-LLM table 1"),
        )
    ]
