"""Trained skills are published as a distribution, used from it like those of the store, and never changed there."""

import importlib
import json
import shutil
import subprocess
import sys
from importlib.metadata import distributions

import pytest
import torch
from mdkif import BadInput, Pack, Toolkit
from mdkif.cli import main
from mdkif.core.adapters.library import library_of
from mdkif.core.console.app import run
from mdkif.core.contract.discovery import Plugins
from safetensors.torch import load_file, save_file
from verbs import adapt, applied, evaluate, kit_of, resolve, train_skill

WEIGHTS = "adapter_model.safetensors"
PIP = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target"]


@pytest.fixture
def trained(workspace, taught):
    """A workspace whose store holds two skills as their training left them."""
    for name, folder in taught.items():
        shutil.copytree(folder, workspace.store.skill(workspace.base.name, name))
    return workspace


@pytest.fixture(scope="session")
def pack(taught, shared_base, plugins, tmp_path_factory):
    """The folder of a published distribution with both skills."""
    kit = Toolkit(tmp_path_factory.mktemp("publisher"), shared_base.path, plugins=plugins)
    for name, folder in taught.items():
        shutil.copytree(folder, kit.workspace.store.skill(shared_base.name, name))
    out = tmp_path_factory.mktemp("published") / "mdkif-pack-ward"
    kit.publish(["nli", "qa"], out, name="ward", licence="CC-BY-4.0", title="Skills of a ward", hashes=True)
    return out


@pytest.fixture(scope="session")
def site(pack, tmp_path_factory):
    """Where pip put it, whatever its source does afterwards."""
    folder = tmp_path_factory.mktemp("site")
    subprocess.run([*PIP, folder, pack], check=True)
    return folder


@pytest.fixture
def packed(workspace, site, tmp_path, monkeypatch, plugins):
    """A workspace with an empty store beside the installed pack, of which it has a copy of its own."""
    own = shutil.copytree(site, tmp_path / "site")
    monkeypatch.syspath_prepend(str(own))
    entries = [e for d in distributions() for e in d.entry_points if e.group == "mdkif"]
    workspace.plugins = Plugins(entries)
    yield workspace
    sys.modules.pop("mdkif_pack_ward", None)
    importlib.invalidate_caches()


@pytest.fixture
def folder(packed):
    return packed.plugins.get(Pack, "ward").folder


def test_pack_published_and_installed_keeps_every_rule(packed):
    found = list(kit_of(packed).check("mdkif-pack-ward"))
    assert [each for each in found if each.state != "kept"] == []
    assert {"pack ward"} < {each.subject for each in found}


def test_pack_holds_cards_adapters_and_the_terms_of_what_was_learnt_from_and_nothing_else(pack):
    files = {path.relative_to(pack).as_posix() for path in pack.rglob("*") if path.is_file()}
    skill = {"skill.json", "adapter_config.json", WEIGHTS, "README.md", "learnt.json"}
    assert files == {
        "pyproject.toml", "README.md", "mdkif_pack_ward/__init__.py", "mdkif_pack_ward/py.typed",
        "tests/test_mdkif_pack_ward.py",
        *(f"mdkif_pack_ward/skills/{name}/{file}" for name in ("nli", "qa") for file in skill),
    }  # fmt: skip
    page = (pack / "README.md").read_text()
    assert "`pubmedqa`" in page
    assert "`mednli`" in page
    assert "credentialed" in page  # MedNLI's access


def test_pack_without_hashes_says_nothing_of_what_was_learnt(trained, tmp_path):
    kit_of(trained).publish(["qa"], tmp_path / "out", name="ward", licence="MIT")
    assert not list((tmp_path / "out").rglob("learnt.json"))


def test_pack_skills_are_listed_with_their_pack_and_shown(packed):
    kit = kit_of(packed)
    assert {(row["name"], row["pack"]) for row in kit.list("trained")} == {("nli", "ward"), ("qa", "ward")}
    assert [(row["name"], row["title"]) for row in kit.list("packs")] == [("ward", "Skills of a ward")]
    assert kit.show("qa")[0]["trained"][0]["skill"] == "qa"
    assert kit.show("ward")[0]["licence"] == "CC-BY-4.0"


def test_pack_skill_computes_what_the_stores_computes(packed, trained, taught, tokens):
    with applied(packed, "skill:qa") as base, torch.no_grad():
        found = base.model(input_ids=tokens).logits
    store = packed.store.skill(packed.base.name, "qa")
    assert resolve(packed, "skill:qa").artifacts["qa"].path == store  # which goes before the pack's
    shutil.rmtree(store)
    assert "pack_ward" in str(resolve(packed, "skill:qa").artifacts["qa"].path)
    with applied(packed, "skill:qa") as base, torch.no_grad():
        assert torch.equal(base.model(input_ids=tokens).logits, found)


def test_pack_skills_are_routed_and_measured_without_anything_in_the_store(packed, pubmedqa):
    made = adapt(packed, "pubmedqa", {"pubmedqa": pubmedqa}, router="uniform", settings={"shots": "8", "scale": "one"})
    assert made.composition.summary() == {"nli": 0.5, "qa": 0.5}
    [row] = evaluate(packed, "pubmedqa", {"pubmedqa": pubmedqa}, ["pubmedqa-uniform"])
    assert row.n == 20
    assert not packed.store.skills(packed.base.name).exists()


def test_pack_knows_what_it_learnt_from(packed, pubmedqa):
    with pytest.raises(BadInput, match="80 of 142 'train' records of 'pubmedqa' are records that the skill 'qa'"):
        evaluate(packed, "pubmedqa", {"pubmedqa": pubmedqa}, ["skill:qa"], split="train")


def test_skill_of_the_store_goes_before_that_of_a_pack_which_stays_by_its_version(packed, adapters, put_skill):
    of_pack = resolve(packed, "skill:qa").versions["qa"]
    put_skill(packed, "qa", adapters["qa"])
    assert resolve(packed, "skill:qa").versions["qa"] != of_pack
    assert resolve(packed, f"skill:qa@{of_pack}").versions["qa"] == of_pack
    names = [row["name"] for row in kit_of(packed).list("trained")]
    assert names == ["qa", "nli", f"qa@{of_pack}"]


def test_skill_that_a_pack_has_is_trained_into_the_store(packed, pubmedqa, folder):
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    settings = {"steps": "10", "batch_size": "8", "seed": "3", "learning_rate": "0.01", "rank": "3", "alpha": "6"}
    made = train_skill(packed, "qa", {"pubmedqa": pubmedqa}, "lora", settings, seed=3)
    assert made.path.parent == packed.store.skills(packed.base.name)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_pack_skill_is_not_removed_but_uninstalled(packed):
    with pytest.raises(BadInput, match="comes in the pack 'ward': mdkif uninstall ward"):
        kit_of(packed).remove("skill:qa")


@pytest.mark.parametrize("damage", ["emptied", "changed", "gone"])
def test_pack_file_that_is_damaged_is_one_sentence_with_the_remedy(packed, folder, damage):
    weights = folder / "qa" / WEIGHTS
    if damage == "emptied":
        weights.write_bytes(b"")
    elif damage == "changed":
        save_file({name: value * 1.5 for name, value in load_file(weights).items()}, weights)
    else:
        weights.unlink()
    with pytest.raises(BadInput, match=r"skill 'qa' is damaged: .*adapter_model.safetensors"):
        resolve(packed, "skill:qa")
    resolve(packed, "skill:nli")
    broken = {each.rule for each in kit_of(packed).check("mdkif-pack-ward") if each.state == "broken"}
    assert "its skills are what their training left" in broken


@pytest.mark.parametrize(("rule", "change"), {
    "its skills are there": lambda folder: shutil.rmtree(folder),
    "its skills are of its base": lambda folder: carded(folder / "qa", base="another"),
    "its skills are low-rank adapters with finite numbers": lambda folder: numbers(folder / "qa", float("nan")),
    "nothing lies beside its skills": lambda folder: (folder / "qa/notes.txt").write_text("x"),
}.items())  # fmt: skip
def test_pack_that_breaks_a_rule_is_told_so(packed, folder, rule, change):
    change(folder)
    broken = {each.rule: each.remedy for each in kit_of(packed).check("mdkif-pack-ward") if each.state == "broken"}
    assert rule in broken
    assert broken[rule]


def carded(folder, **changes):
    card = json.loads((folder / "skill.json").read_text())
    (folder / "skill.json").write_text(json.dumps({**card, **changes}))


def numbers(folder, value):
    save_file({name: torch.full_like(each, value) for name, each in load_file(folder / WEIGHTS).items()},
              folder / WEIGHTS)  # fmt: skip


@pytest.mark.parametrize(("changed", "told"), [
    ({"name": "Ward 7"}, "A pack cannot be named 'Ward 7'"),
    ({"version": "one"}, "cannot have the version 'one'"),
    ({"licence": 'MIT"\nx = "'}, "is no licence expression"),
    ({"skills": []}, "There is no skill to publish"),
    ({"skills": ["ner"]}, "no trained skill named 'ner'"),
])  # fmt: skip
def test_publish_refuses_what_no_pack_can_have(trained, tmp_path, changed, told):
    given = {"skills": ["qa"], "name": "ward", "licence": "MIT", **changed}
    with pytest.raises(BadInput, match=told):
        kit_of(trained).publish(given.pop("skills"), tmp_path / "out", **given)
    assert not (tmp_path / "out").exists()


def test_publish_refuses_a_damaged_skill_and_a_folder_that_holds_something(trained, tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/mine").write_text("mine")
    with pytest.raises(BadInput, match="not empty"):
        kit_of(trained).publish(["qa"], tmp_path / "kept", name="ward", licence="MIT")
    [artifact] = library_of(trained).choose(["qa"]).values()
    (artifact.path / WEIGHTS).write_bytes(b"")
    with pytest.raises(BadInput, match="'qa' cannot be published"):
        kit_of(trained).publish(["qa"], tmp_path / "out", name="ward", licence="MIT")


def test_publish_title_cannot_leave_its_string(trained, tmp_path):
    title = 'A "ward" \\ {{ 7 * 7 }}"""\nimport os'
    kit_of(trained).publish(["qa"], tmp_path / "out", name="ward", licence="MIT", title=title)
    source = (tmp_path / "out/mdkif_pack_ward/__init__.py").read_text()
    scope = {"__name__": "mdkif_pack_ward"}
    exec(compile(source, "pack", "exec"), scope)
    [declared] = scope["mdkif_packs"]()
    assert "{{ 7 * 7 }}" in declared.title
    assert "os" not in scope


def test_publish_command_tells_what_it_wrote_and_what_to_do(trained, tmp_path, capsys):
    out = tmp_path / "out"
    words = ["--store", str(trained.store.root), "publish", "qa", "-o", str(out), "--name", "ward", "--licence", "MIT"]
    code = run(main, [*words, "--base", trained.base.name, "--json"])
    told = json.loads(capsys.readouterr().out)
    assert code == 0
    assert told["dist"] == "mdkif-pack-ward"
    assert list(told["skills"]) == ["qa"]
    assert told["bytes"] > 1000
    assert run(main, [*words, "--base", trained.base.name]) == 2
