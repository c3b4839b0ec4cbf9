"""The multi-label document classification skill and its own data set, WikiMed."""

from mdkif import Dataset, Skill, Source, hookimpl


@hookimpl
def mdkif_datasets() -> list[Dataset]:
    """The data set `wikimed`."""
    return [
        Dataset(
            name="wikimed",
            title="WikiMed: Wikipedia articles with mentions of medical concepts",
            target="mdkif_skill_mldc.wikimed:convert",
            licence="texts of Wikipedia (CC BY-SA); the types of their concepts under the UMLS Metathesaurus License",
            access="open download; its document labels need the UMLS (free UTS account)",
            homepage="https://doi.org/10.5281/zenodo.5755155",
            citation="Vashishth et al. 2021, Improving broad-coverage medical entity linking with semantic type "
            "prediction and large-scale datasets, J Biomed Inform 121",
            options={"mrsty": "MRSTY.RRF of a UMLS release, or the folder of it; by default beside wikimed.json"},
            stand_in="hoc",
        )
    ]


@hookimpl
def mdkif_skills() -> list[Skill]:
    """The skill `mldc`."""
    return [
        Skill(
            name="mldc",
            title="Multi-label document classification",
            category="text-classification",
            sources=(Source(dataset="wikimed"),),
            alternatives=(Source(dataset="hoc"),),
            template="mldc.jinja",
            package=__name__,
            papers=("SA-MDKIF table 1", "STAF-LLM table 1"),
            normaliser="pmi",
            multi_label=True,
        )
    ]
