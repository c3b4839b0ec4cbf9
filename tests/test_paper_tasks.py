"""The papers' skills and tasks: they are all there, and each goes from official files to a metric in one command."""

import json

import pytest
from mdkif import Dataset, Skill, Task
from mdkif.cli import main
from mdkif.core.console.app import run
from mdkif.core.contract.discovery import Plugins
from mdkif_synthetic import generate

SKILLS = {"qa", "mcqa", "mc", "mldc", "mrc", "nli", "ts", "ner", "re", "ea", "es", "er"}
OF_THE_UMLS = {"hpo", "icd10cm"}  # source vocabularies of it, which come with packages
TASKS = {
    "emrqa": ("unseen data", "exact_match"),
    "medquad": ("unseen data", "accuracy"),
    "pubmedqa": ("unseen data", "accuracy"),
    "mednli": ("unseen data", "accuracy"),
    "cliner": ("unseen data", "f1"),
    "mimic-cause": ("unseen data", "accuracy"),
    "icd-coding": ("unseen task", "auroc"),
    "medication": ("unseen task", "auroc"),
    "readmission": ("unseen task", "auroc"),
}
CALIBRATED = {"icd-coding", "medication", "readmission"}
TABLE_2 = {
    "nli": (1138, 142, 142),
    "re": (1286, 714, 714),
    "emrqa": (4629, 580, 580),
    "medquad": (44_911, 1273, 1273),
    "mednli": (1138, 142, 142),
    "cliner": (911, 208, 208),
    "mimic-cause": (1286, 714, 714),
    "icd-coding": (41_315, 1500, 1584),
    "medication": (33_225, 1200, 1282),
    "readmission": (5108, 580, 575),
}
STEP = ["--set", "steps=2", "--set", "batch_size=2", "--set", "max_length=700", "--set", "dev_records=4"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A store with all twelve skills on the tiny model, and the file that lists their data."""
    folder = tmp_path_factory.mktemp("papers")
    generate(folder / "hospital", seed=1, patients=160)
    sources = str(folder / "hospital" / "sources.toml")
    start = ["--store", str(folder / "store"), "train", "--all", "--sources", sources, "--base", "tiny"]
    assert run(main, [*start, "--trainer", "lora", *STEP]) == 0
    return folder / "store", sources


def test_papers_twelve_skills_and_nine_tasks_come_from_a_distribution_each():
    plugins = Plugins()
    skills = {d.name: p.dist for d, p in plugins.all(Skill)}
    tasks = {d.name: (p.dist, d) for d, p in plugins.all(Task)}
    assert {name: skills[name] for name in SKILLS} == {name: f"mdkif-skill-{name}" for name in SKILLS}
    for name, (track, metric) in TASKS.items():
        dist, task = tasks[name]
        assert (dist, task.track, task.metric) == (f"mdkif-task-{name}", track, metric)


def test_papers_scores_of_the_clinical_tasks_are_calibrated_and_other_tasks_take_the_sum():
    normalisers = {d.name: d.normaliser for d, _ in Plugins().all(Task) if d.name in TASKS}
    assert normalisers == {name: "pmi" if name in CALIBRATED else "sum" for name in TASKS}


def test_papers_numbers_of_records_are_those_of_the_papers_table_2():
    plugins = Plugins()
    declared = [d for cls in (Skill, Task) for d, _ in plugins.all(cls)]
    sizes = {d.name: d.sources[0].sizes for d in declared if d.sources[0].sizes}
    assert {name: sizes.get(name) for name in TABLE_2} == TABLE_2


def test_papers_only_a_stand_in_or_a_part_of_the_data_is_an_alternative():
    plugins = Plugins()
    stand_ins = {d.name: d.stand_in for d, _ in plugins.all(Dataset)}
    for skill, _ in plugins.all(Skill):
        if skill.name in SKILLS:
            named = {stand_ins[source.dataset] for source in skill.sources} - {""}
            named |= OF_THE_UMLS if "umls" in skill.reads else set()
            assert {source.dataset for source in skill.alternatives} <= named


def test_papers_twelve_skills_are_trained_by_one_command(trained):
    store, _ = trained
    cards = [json.loads(path.read_text()) for path in store.glob("skills/tiny/*/skill.json")]
    assert {card["skill"] for card in cards} == SKILLS
    assert all(card["data"]["records"] == 4 for card in cards)


@pytest.mark.parametrize("task", TASKS)
def test_papers_every_task_is_adapted_and_measured(trained, task, capsys):
    store, sources = trained
    place = ["--store", str(store)]
    given = ["--sources", sources, "--base", "tiny", "--json"]
    settings = ["--shots", "4", "--set", "max_length=700", "--router", "uniform"]
    assert run(main, [*place, "adapt", task, *given, *settings]) == 0
    adapted = json.loads(capsys.readouterr().out)
    assert set(adapted["weights"]) == SKILLS
    targets = ["--with", f"{task}-uniform", "--limit", "12", "--max-length", "700"]
    assert run(main, [*place, "evaluate", task, *given, *targets]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert measured["n"] > 3
    assert TASKS[task][1] in measured["metrics"]
    report = next(store.glob(f"reports/{task}-*.json")).read_text()
    assert len(json.loads(report)["records"]) == measured["n"]
