"""The papers' tables and figures as recipes, and experiments of our own; `recipes/NAME.toml` is what each measures."""

from mdkif import Recipe, hookimpl

TITLES = {
    "leave-one-skill-out": ("", "What each skill is worth: the router without it"),
    "router-ablation": ("", "Every router beside best single skill, average, controls and shortcuts"),
    "sa-mdkif/figure5": ("SA-MDKIF figure 5", "F1 of ICD coding against the number of labels"),
    "sa-mdkif/figure6": ("SA-MDKIF figure 6", "Metrics against the number of skills"),
    "sa-mdkif/table1": ("SA-MDKIF table 1", "Corpora of the skills"),
    "sa-mdkif/table2": ("SA-MDKIF table 2", "Records of the downstream tasks"),
    "sa-mdkif/table3": ("SA-MDKIF table 3", "Unseen data: fine-tuning, blends and routers"),
    "sa-mdkif/table4": ("SA-MDKIF table 4", "Unseen tasks: fine-tuning, blends and routers"),
    "sa-mdkif/table5": ("SA-MDKIF table 5", "Clinical tasks beside encoders, with a new skill"),
    "shots": ("", "What a few more records are worth, with skills and without"),
    "skill-scaling": ("", "Whether more skills help, in random nested orders"),
    "staf-llm/figure5": ("STAF-LLM figure 5", "AUROC of ICD coding against the number of labels"),
    "staf-llm/figure6": ("STAF-LLM figure 6", "Metrics against the number of shots"),
    "staf-llm/figure7": ("STAF-LLM figure 7", "The weights of the experts"),
    "staf-llm/figure8": ("STAF-LLM figure 8", "Metrics against the number of experts"),
    "staf-llm/table1": ("STAF-LLM table 1", "Corpora of the skills"),
    "staf-llm/table2": ("STAF-LLM table 2", "Records of the downstream tasks"),
    "staf-llm/table3": ("STAF-LLM table 3", "Unseen data: fine-tuning, blends and routers"),
    "staf-llm/table4": ("STAF-LLM table 4", "Unseen tasks: fine-tuning, blends and routers"),
    "staf-llm/table5": ("STAF-LLM table 5", "Clinical tasks beside encoders, with a new skill"),
}
"""What each repeats, and its title."""


@hookimpl
def mdkif_recipes() -> list[Recipe]:
    """All recipes."""
    return [Recipe(name=name, title=title, paper=paper, package=__name__) for name, (paper, title) in TITLES.items()]
