"""One broken thing stops no other: it is skipped, named, set aside and made again; and every byte can be verified."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mdkif import AdaptSettings, BadInput, EvaluateSettings, Toolkit, TrainSettings
from mdkif.cli import main
from mdkif.core.console.app import run
from mdkif.core.console.doctor import examine
from mdkif.core.models.base import fingerprint
from mdkif.core.models.loading import label
from mdkif.core.store import leftovers
from mdkif.core.store.leftovers import part_of, sweep
from mdkif.core.store.manifest import problem
from mdkif.core.upkeep.holdings import holdings
from mdkif.core.upkeep.repair import repair

CARD, WEIGHTS = "skill.json", "adapter_model.safetensors"


@pytest.fixture
def kit(tmp_path, shared_base, plugins, pubmedqa):
    made = Toolkit(tmp_path / "store", shared_base.path, plugins=plugins)
    made.workspace.__dict__["base"] = shared_base
    made.source = {"pubmedqa": pubmedqa}
    made.told = []
    made.workspace.progress.note = made.told.append
    return made


def taught(kit, skill="qa", steps=2, **options):
    loop = TrainSettings(steps=steps, batch_size=2, checkpoint_every=2)
    return kit.train(skill, kit.source, trainer=kit.trainer("lora"), settings=loop, **options)


@pytest.fixture
def full(kit):
    """A store with two skills, a composition and a report."""
    first = taught(kit)
    shutil.copytree(first.path, first.path.with_name("er"))
    card = json.loads((first.path.with_name("er") / CARD).read_text())
    (first.path.with_name("er") / CARD).write_text(json.dumps(card | {"skill": "er", "template": ""}) + "\n")
    card = first.path.with_name("er") / CARD
    body = json.loads(card.read_text())
    del body["template"]
    card.write_text(json.dumps(body))
    kit.compose("mine", {"qa": 0.5, "er": 0.5})
    kit.evaluate("pubmedqa", kit.source, ["base"], settings=EvaluateSettings(limit=4))
    return kit


def only(paths):
    [path] = paths
    return path


def things(kit):
    root = kit.workspace.store.root
    return {
        "skill qa": only(root.glob(f"skills/*/qa/{CARD}")),
        "composition mine": only(root.glob("compositions/*/mine.json")),
        f"report {only(root.glob('reports/[!.]*.json')).stem}": only(root.glob("reports/[!.]*.json")),
    }


def piped(path):
    path.unlink()
    os.mkfifo(path)


BREAKAGES = {
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:40]),
    "emptied": lambda path: path.write_bytes(b""),
    "a list": lambda path: path.write_text("[1]"),
    "deep": lambda path: path.write_text("[" * 100_000),
    "not UTF-8": lambda path: path.write_bytes(b"\xff\xfe"),
    "other fields": lambda path: path.write_text('{"adapter": {}, "weights": [], "metrics": 5, "name": []}'),
    "a pipe": piped,
}


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_broken_thing_stops_no_other_and_is_set_aside_and_made_again(full, breakage):
    kit = full
    for what, path in things(kit).items():
        BREAKAGES[breakage](path)
        lines = {line.what: line for line in examine(kit.workspace)}
        assert not lines[what].ok
        assert "doctor --repair" in lines[what].remedy
    assert [row["name"] for row in kit.list("trained")] == ["er"]
    assert kit.list("compositions") == kit.list("reports") == []
    adapted = kit.adapt("pubmedqa", kit.source, router="uniform", settings=AdaptSettings(shots=2, overlap="keep"))
    assert list(adapted.composition.weights) == ["er"]
    assert any("'qa' is left out" in told for told in kit.told)
    assert kit.evaluate("pubmedqa", kit.source, ["skill:er"], settings=EvaluateSettings(limit=2))[0].n == 2
    done = dict(repair(kit.workspace.store))
    assert {"skill qa", "composition mine"} <= set(done)
    assert all(line.ok for line in examine(kit.workspace) if line.what.startswith(("skill", "comp", "report")))
    assert taught(kit).damaged is None
    kit.compose("mine", {"qa": 0.5, "er": 0.5})
    assert {"qa", "er"} <= {row["name"] for row in kit.list("trained")}
    assert "mine" in {row["name"] for row in kit.list("compositions")}


def test_train_makes_a_skill_again_whose_card_is_broken_and_keeps_what_lay_there(full):
    before = full.list("trained")
    path = things(full)["skill qa"]
    path.write_text("{")
    made = taught(full)
    assert made.damaged is None
    assert any("set-aside" in told for told in full.told)
    assert (full.workspace.store.root / "set-aside").is_dir()
    assert {row["version"] for row in full.list("trained")} == {row["version"] for row in before}


@pytest.mark.parametrize("breakage", ["cut short", "emptied", "nan", "of another rank"])
def test_train_with_a_broken_checkpoint_starts_again_to_the_same_adapter(kit, monkeypatch, breakage):
    import torch
    from mdkif.core.training import loop as training
    from safetensors.torch import load_file, save_file

    straight = taught(kit, steps=4, replace=True)
    shutil.rmtree(straight.path)
    save = training.save_checkpoint

    def interrupt(*given):
        save(*given)
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "save_checkpoint", interrupt)
    with pytest.raises(KeyboardInterrupt):
        taught(kit, steps=4)
    monkeypatch.undo()
    kit.workspace.progress.note = kit.told.append
    file = only(kit.workspace.store.root.glob("runs/*/*.safetensors"))
    if breakage in BREAKAGES:
        BREAKAGES[breakage](file)
    elif breakage == "nan":
        save_file(
            {k: torch.full_like(v, torch.nan) if k[:5] == "model" else v for k, v in load_file(file).items()}, file
        )
    else:
        save_file({k: v[:1] if k[:5] == "model" else v for k, v in load_file(file).items()}, file)
    again = taught(kit, steps=4)
    assert any("starts again from the beginning" in told for told in kit.told)
    assert again.version == straight.version


def test_train_is_done_whatever_was_left_in_its_run(kit, monkeypatch):
    """A process killed while it wrote a checkpoint leaves a part beside it."""
    from mdkif.core.training import loop as training

    save = training.save_checkpoint

    def orphan(path, *given):
        save(path, *given)
        (path.parent / ".checkpoint-0000.safetensors").write_bytes(b"half")

    monkeypatch.setattr(training, "save_checkpoint", orphan)
    assert taught(kit, steps=4).damaged is None
    assert list((kit.workspace.store.root / "runs").iterdir()) == []


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json", "config.json"])
def test_model_that_was_cut_short_is_noticed_and_pulled_again(tmp_path, plugins, capsys, file):
    kit = Toolkit(tmp_path, "tiny", plugins=plugins)
    path = kit.pull("tiny")
    whole = (path / file).read_bytes()
    (path / file).write_bytes(whole[:-20])
    assert "was cut short" in problem(path)
    line = {line.what: line for line in examine(kit.workspace)}["model tiny"]
    assert not line.ok
    assert "mdkif models pull tiny" in line.remedy
    assert run(main, ["--store", str(tmp_path), "models", "pull", "tiny"]) == 0
    assert "made again" in capsys.readouterr().err
    assert (path / file).read_bytes() == whole
    assert (tmp_path / "set-aside" / "models" / "tiny").is_dir()
    assert kit.workspace.base.fingerprint == kit.workspace.base.fingerprint


def test_model_of_an_older_store_without_a_manifest_is_still_looked_at(tmp_path, plugins):
    path = Toolkit(tmp_path, "tiny", plugins=plugins).pull("tiny")
    (path / "mdkif.json").unlink()
    assert problem(path) == ""
    weights = path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert "was cut short" in problem(path)


# Leftovers


@pytest.fixture
def dead():
    """The id and start of a process that has ended."""
    code = "from mdkif.core.store.processes import this_process; print(this_process())"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def named(folder, owner, end=""):
    return folder / f".thing-{owner}-{'0' * 16}{end}"


def test_leftovers_of_a_dead_process_are_swept_and_those_of_a_living_one_stay(tmp_path, dead):
    live = part_of(tmp_path / "thing.json")
    live.touch()
    (stale := named(tmp_path, dead, ".jsonl")).touch()
    (folder := named(tmp_path, dead)).mkdir()
    (folder / "inside").touch()
    (other := tmp_path / ".thing-of-somebody.json").touch()
    assert set(sweep(tmp_path)) == {stale, folder}
    assert {live, other} == set(tmp_path.iterdir())


def test_leftovers_of_another_machine_or_an_older_mdkif_are_swept_after_a_day(tmp_path):
    foreign, older = named(tmp_path, "0123abcd-1-1", ".json"), tmp_path / f".thing-{'0' * 32}.json"
    for each in (foreign, older):
        each.touch()
    assert sweep(tmp_path) == []
    for each in (foreign, older):
        os.utime(each, (1, 1))
    assert set(sweep(tmp_path)) == {foreign, older}


def test_leftovers_old_directory_whose_place_is_empty_is_put_back(tmp_path, dead):
    (old := named(tmp_path, dead, "-old")).mkdir()
    (old / "inside").write_text("old")
    sweep(tmp_path)
    assert (tmp_path / "thing" / "inside").read_text() == "old"
    (old := named(tmp_path, dead, "-old")).mkdir()
    sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thing"]


def test_leftovers_are_no_models_for_doctor_which_takes_them_away(tmp_path, dead, capsys):
    (tmp_path / "models").mkdir()
    named(tmp_path / "models", dead).mkdir()
    assert run(main, ["--store", str(tmp_path), "doctor", "--json"]) == 1
    found = {row["what"]: row for row in json.loads(capsys.readouterr().out)}
    assert found["store"]["found"].endswith("0 models, 0 skills")
    assert "1 half-written" in found["leftovers"]["found"]
    run(main, ["--store", str(tmp_path), "doctor", "--repair", "--json"])
    out, err = capsys.readouterr()
    assert "leftovers" not in {row["what"] for row in json.loads(out)}
    assert "is gone" in err
    assert list((tmp_path / "models").iterdir()) == []


def test_leftovers_parse_what_part_of_names(tmp_path):
    for name in ("a.jsonl", "a-b.parquet", "gpt-2.5", "nli"):
        for directory in (True, False):
            path = part_of(tmp_path / name, directory)
            assert leftovers.NAMED.fullmatch(path.name), path.name
            assert path.suffix == ("" if directory else Path(name).suffix) or directory


# Every byte


def test_verify_says_of_everything_that_it_is_whole(full, tmp_path, capsys):
    found = {f"{each.kind} {each.name}": each for each in full.verify()}
    assert {"skill qa", "skill er", "composition mine"} <= set(found)
    assert not any(each.wrong for each in found.values())
    assert found["skill qa"].by == "SHA-256"
    assert run(main, ["--store", str(full.workspace.store.root), "verify", "skill:qa"]) == 0
    assert "SHA-256" in capsys.readouterr().out


def flipped(path):
    """The file with one bit of its middle turned."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("name", ["mine", "qa", "skill:qa"])
def test_verify_names_a_bit_that_turned(full, name, capsys):
    flipped(only(full.workspace.store.root.glob(f"skills/*/qa/{WEIGHTS}")))
    found = {each.name: each for each in full.verify()}
    assert "is not what its training left" in found["qa"].wrong
    assert found["er"].wrong == ""
    assert run(main, ["--store", str(full.workspace.store.root), "verify", name]) == (0 if name == "mine" else 1)
    assert capsys.readouterr().out


def test_verify_composition_whose_skill_is_gone_is_told(full):
    shutil.rmtree(things(full)["skill qa"].parent)
    [found] = full.verify("mine")
    assert "qa@" in found.wrong


def test_verify_model_and_export_hold_every_byte_against_their_manifests(full, plugins, tmp_path):
    model = Toolkit(tmp_path / "models", plugins=plugins)
    path = model.pull("tiny")
    assert [each.wrong for each in model.verify("tiny")] == [""]
    flipped(path / "model.safetensors")
    assert problem(path) == ""
    assert "by its SHA-256" in next(iter(model.verify("tiny"))).wrong
    for to in ("lora", "merged"):
        full.export("mine", tmp_path / to, to)
        [found] = full.verify(str(tmp_path / to))
        assert (found.kind, found.wrong) == ("export", "")
        flipped(only((tmp_path / to).glob("*.safetensors")))
        assert next(iter(full.verify(str(tmp_path / to)))).wrong
    full.export_skill("qa", tmp_path / "skill")
    assert [each.wrong for each in full.verify(str(tmp_path / "skill"))] == [""]


def test_verify_name_of_nobody_is_bad_input(full):
    with pytest.raises(BadInput, match="There is no model, skill, composition, report or export named 'nobody'"):
        list(full.verify("nobody"))


def test_verify_manifest_cannot_name_a_file_outside_its_folder(tmp_path):
    (tmp_path / "outside").write_text("secret")
    (folder := tmp_path / "export").mkdir()
    (folder / "mdkif.json").write_text(json.dumps({"files": {"../outside": "0" * 64}}))
    assert "is missing" in problem(folder, every_byte=True)


# The fingerprint of a base model


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "chat_template.jinja"])
def test_skill_of_a_base_with_another_configuration_tokenizer_or_template_is_refused(kit, tmp_path, file):
    from dataclasses import replace

    base, trained = kit.workspace.base, taught(kit)
    shutil.copytree(base.path, changed := tmp_path / "changed")
    (changed / file).write_text((changed / file).read_text() + " ")
    other = replace(base, fingerprint=fingerprint(changed, base.model))
    assert other.fingerprint.split("-")[0] == base.fingerprint.split("-")[0]
    trained.check(base)
    with pytest.raises(BadInput, match="whose weights are the same, but not its configuration, tokenizer or chat"):
        trained.check(other)


def test_skill_and_composition_of_an_older_mdkif_are_taken_by_the_fingerprint_of_weights_alone(full):
    path = things(full)["skill qa"]
    for each in (path, things(full)["composition mine"]):
        body = json.loads(each.read_text())
        each.write_text(json.dumps(body | {"fingerprint": body["fingerprint"].split("-")[0]}))
    assert full.evaluate("pubmedqa", full.source, ["mine"], settings=EvaluateSettings(limit=2, overlap="keep"))[0].n
    body = json.loads(path.read_text())
    path.write_text(json.dumps(body | {"fingerprint": "0" * 16}))
    with pytest.raises(BadInput, match="was trained on"):
        full.evaluate("pubmedqa", full.source, ["skill:qa"], settings=EvaluateSettings(limit=2, overlap="keep"))


@pytest.mark.parametrize(("name", "called"), [("tiny", "tiny"), ("a/b", "b"), ("a/b/", "b")])
def test_base_is_called_by_its_name_or_folder(name, called):
    assert label(name) == called


def test_base_that_is_a_way_up_is_called_by_the_folder_it_means(tmp_path, monkeypatch):
    (inner := tmp_path / "model" / "inner").mkdir(parents=True)
    monkeypatch.chdir(inner)
    assert (label(".."), label("."), label("./.."), label("")) == ("model", "inner", "model", "inner")
    with pytest.raises(BadInput, match="has no name that a folder can have"):
        label("/")
    with pytest.raises(BadInput, match="has no name that a folder can have"):
        label("x\x1b[2J\ny")


def test_holdings_leave_out_what_is_half_written(full, dead):
    before = [each.name for each in holdings(full.workspace.store)]
    root = full.workspace.store.root
    for folder in (root / "reports", only(root.glob("compositions/*")), only(root.glob("skills/*"))):
        named(folder, dead, ".json").write_text("{")
    assert [each.name for each in holdings(full.workspace.store)] == before
