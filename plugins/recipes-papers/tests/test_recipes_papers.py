"""Every recipe of the papers and of our own, at toy scale, on the synthetic hospital."""

import tomllib
from importlib.resources import files

import pytest
from mdkif import Recipe, Toolkit
from mdkif.testing import assert_conforms
from mdkif_recipes_papers import TITLES
from mdkif_synthetic import generate

PAPERS = [*(f"sa-mdkif/{name}" for name in ("table1", "table2", "table3", "table4", "table5", "figure5", "figure6")),
          *(f"staf-llm/table{n}" for n in range(1, 6)), *(f"staf-llm/figure{n}" for n in range(5, 9))]  # fmt: skip
OURS = ["router-ablation", "leave-one-skill-out", "skill-scaling", "shots"]


@pytest.fixture(scope="session")
def kit(tmp_path_factory):
    """One store for all recipes, which share what they can."""
    return Toolkit(tmp_path_factory.mktemp("recipes"), "tiny", dtype="float32", device="cpu")


@pytest.fixture(scope="session")
def hospital(tmp_path_factory):
    made = generate(tmp_path_factory.mktemp("hospital") / "data", patients=60)
    return {name: path for name, path in made.items() if name != "mimic-iv"}


def test_recipes_conform():
    assert_conforms("mdkif-recipes-papers")


def test_recipes_are_those_of_the_papers_and_our_own():
    assert sorted(TITLES) == sorted([*PAPERS, *OURS])


@pytest.mark.parametrize("name", sorted(TITLES))
def test_recipe_runs_at_toy_scale(kit, hospital, name):
    results = kit.reproduce(name, hospital, toy=True, draws=0)
    ran = [method for method in results.experiment.methods if method.run]
    rows = {row.method for (row, _), entry in results.entries.items() if entry.values}
    assert {"counted"} <= rows or {"base", "uniform", "gradient", "cma-es"} & {m.run for m in ran if m.name in rows}
    # notes of the invented hospital are too long to stand before another one
    assert [each for each in results.failures if "as a demonstration" not in each.reason] == []


@pytest.mark.parametrize(
    ("name", "method", "setting", "task", "number"),
    [
        ("sa-mdkif/table3", "router", "normal", "cliner", 79.5),
        ("sa-mdkif/table3", "ICL", "few-shot", "emrqa", 38.2),
        ("sa-mdkif/table4", "average", "normal", "icd-coding", 52.1),
        ("staf-llm/table3", "single", "normal", "pubmedqa", 74.9),
        ("staf-llm/table3", "router", "few-shot", "mimic-cause", 83.2),
        ("staf-llm/table4", "full fine-tuning", "normal", "readmission", 75.3),
    ],
)
def test_recipe_has_the_papers_own_number(name, method, setting, task, number):
    text = files("mdkif_recipes_papers").joinpath("recipes", *f"{name}.toml".split("/")).read_text(encoding="utf-8")
    methods = tomllib.loads(text)["methods"]
    [found] = [m for m in methods if m["name"] == method and setting in m["settings"]]
    assert found["paper"][task] == number


def test_recipes_belong_to_their_papers(kit):
    named = {declared.name: declared.paper for declared, _ in kit.plugins.all(Recipe) if declared.name in TITLES}
    assert all(named[name] == "" for name in OURS)
    assert named["staf-llm/figure7"] == "STAF-LLM figure 7"
