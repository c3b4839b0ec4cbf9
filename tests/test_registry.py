"""The catalogue: complete, in step with the repository's plugins, and light."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from mdkif.core.contract.catalogue import LISTENER, catalogue, owners
from mdkif.core.contract.declarations import KINDS, Declaration

PLUGINS = Path(__file__).resolve().parent.parent / "plugins"


def named(kind):
    return [entry.name for entry in catalogue() if entry.kind == kind]


def own_distributions():
    """The distributions of this repository, by name, with their pyproject."""
    found = [tomllib.loads(path.read_text("utf-8")) for path in PLUGINS.glob("*/pyproject.toml")]
    return {project["project"]["name"]: project for project in found}


def test_catalogue_twelve_skills_and_nine_tasks_of_the_papers_are_known():
    assert named("skill") == ["qa", "mcqa", "mc", "mldc", "mrc", "nli", "ts", "ner", "re", "ea", "es", "er"]
    unseen_data = ["emrqa", "medquad", "pubmedqa", "mednli", "cliner", "mimic-cause"]
    assert named("task")[:9] == [*unseen_data, "icd-coding", "medication", "readmission"]


def test_catalogue_every_name_that_users_type_is_known():
    data = "medquad medqa healthcaremagic umls wikimed clicr mimic-cause meqsum emrqa pubmedqa mednli"
    others = "i2b2 mimic-iii mimic-iv disease-ontology ncbi-disease ddi hoc medmcqa"
    assert set(named("dataset")) >= {*data.split(), *others.split()}
    assert set(named("trainer")) >= {"adalora", "lora"}
    assert set(named("router")) >= {"cma-es", "gradient", "uniform", "single"}
    assert set(named("evaluator")) >= {"classification", "generation"}
    assert set(named("model")) >= {"smollm2", "tiny"}


def test_catalogue_names_are_unique_and_kinds_known():
    keys = [(entry.kind, entry.name) for entry in catalogue()]
    assert len(set(keys)) == len(keys)
    assert {entry.kind for entry in catalogue()} <= {*KINDS, LISTENER}


def test_catalogue_every_entry_says_what_it_is_and_who_provides_it():
    for entry in catalogue():
        assert entry.title
        assert not entry.title.endswith(".")
        assert entry.dist.startswith("mdkif-")


def test_catalogue_skills_and_tasks_share_the_access_terms_of_their_data_set():
    access = {entry.name: entry.access for entry in catalogue() if entry.kind == "dataset"}
    assert all(access.values())
    for entry in catalogue():
        if entry.kind in ("skill", "task"):
            assert entry.access == access[entry.dataset]
        else:
            assert not entry.dataset


def test_catalogue_what_is_not_planned_is_what_our_plugins_declare(plugins):
    """Both ways: no plugin that the catalogue forgot, and nothing offered for installation that is not there."""
    ours = own_distributions()
    found = [(d, p) for d, p in plugins.all(Declaration) if p.dist in ours]
    declared = {(d.kind, d.name, p.dist, d.title) for d, p in found}
    offered = {(e.kind, e.name, e.dist, e.title) for e in catalogue() if not e.planned and e.kind != LISTENER}
    assert offered == declared
    listening = {p.dist for p in plugins.plugins if p.dist in ours and p.listens}
    assert {e.dist for e in catalogue() if e.kind == LISTENER} == listening


def test_catalogue_owners_are_the_distributions_of_the_catalogue():
    assert "mdkif-skill-nli" in owners()
    assert owners() == {entry.dist for entry in catalogue()}


@pytest.mark.parametrize("heavy", ["torch", "transformers", "peft", "datasets", "numpy"])
def test_catalogue_imports_nothing_heavy(heavy):
    code = "import sys; from mdkif.core.contract.catalogue import catalogue; catalogue(); "
    code += f"sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_catalogue_is_read_once():
    assert catalogue() is catalogue()
