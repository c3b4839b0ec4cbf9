"""What is not finite is never saved, and what is not what training left is never used."""

import json
import math
import shutil

import pytest
import torch
from mdkif import AdaptSettings, BadInput, MdkifError, Toolkit, TrainSettings
from safetensors.torch import load_file, save_file

WEIGHTS = "adapter_model.safetensors"


@pytest.fixture
def kit(tmp_path, shared_base, plugins, pubmedqa):
    made = Toolkit(tmp_path / "store", shared_base.path, plugins=plugins)
    made.workspace.__dict__["base"] = shared_base
    made.source = {"pubmedqa": pubmedqa}
    made.loop = TrainSettings(steps=2, batch_size=2)
    return made


@pytest.fixture
def trained(kit):
    return kit.train("qa", kit.source, trainer=kit.trainer("lora"), settings=kit.loop)


@pytest.mark.parametrize("trainer", ["lora", "adalora"])
def test_train_that_diverges_saves_nothing_and_says_what_to_lower(kit, trainer):
    before = {name: p.clone() for name, p in kit.workspace.base.model.named_parameters()}
    wild = kit.trainer(trainer, learning_rate=1e38)
    with pytest.raises(
        MdkifError, match=r"The training's .* became (nan|inf) at step \d+: lower learning_rate, now 1e\+38"
    ):
        kit.train("qa", kit.source, trainer=wild, settings=TrainSettings(steps=4, batch_size=2))
    assert kit.list("trained") == []
    assert not list(kit.workspace.store.root.rglob("*.safetensors"))
    assert all(torch.equal(before[name], p) for name, p in kit.workspace.base.model.named_parameters())


def test_train_that_diverges_late_keeps_the_state_before_and_says_where(kit, monkeypatch):
    told = []
    monkeypatch.setattr(kit.workspace.progress, "note", told.append)
    method = kit.trainer("lora")
    stepped = method.stepped

    def spoil(model, number):
        stepped(model, number)
        if number == 3:
            next(p for p in model.parameters() if p.requires_grad).data.fill_(math.nan)

    monkeypatch.setattr(method, "stepped", spoil)
    loop = TrainSettings(steps=6, batch_size=2, checkpoint_every=2)
    with pytest.raises(MdkifError, match="parameters' norm became nan at step 3"):
        kit.train("qa", kit.source, trainer=method, settings=loop)
    [kept] = (kit.workspace.store.root / "runs").rglob("*.safetensors")
    assert f"is in {kept}" in told[-1]
    assert all(bool(value.isfinite().all()) for value in load_file(kept).values() if value.is_floating_point())
    monkeypatch.undo()
    again = kit.train("qa", kit.source, trainer=kit.trainer("lora"), settings=loop)
    assert all(bool(value.isfinite().all()) for value in load_file(again.path / WEIGHTS).values())


@pytest.mark.parametrize("change", ["zeroed", "emptied", "gone", "alpha"])
def test_skill_that_is_not_what_training_left_is_refused_by_file_and_trained_again(kit, trained, change):
    file = trained.path / ("adapter_config.json" if change == "alpha" else WEIGHTS)
    whole = file.read_bytes()
    if change == "zeroed":
        save_file({name: value * 0 for name, value in load_file(file).items()}, file)
    elif change == "alpha":
        file.write_text(json.dumps(json.loads(whole) | {"lora_alpha": 640}))
    elif change == "emptied":
        file.write_bytes(b"")
    else:
        file.unlink()
    few = AdaptSettings(shots=2)
    for use in (
        lambda: kit.adapt("pubmedqa", kit.source, router="uniform", settings=few),
        lambda: kit.evaluate("pubmedqa", kit.source, ["skill:qa"]),
        lambda: kit.compose("mine", {"qa": 1.0}),
    ):
        with pytest.raises(BadInput, match=rf"The skill 'qa' is damaged: \S+{file.name} is not what its training left"):
            use()
    mended = kit.train("qa", kit.source, trainer=kit.trainer("lora"), settings=kit.loop)
    assert (mended.version, mended.damaged) == (trained.version, None)
    assert [row["version"] for row in kit.list("trained")] == [trained.version]
    assert file.exists()
    assert kit.compose("mine", {"qa": 1.0}).weights == {"qa": 1.0}


def test_skill_without_readme_or_hashes_of_records_is_whole(kit, trained):
    (trained.path / "README.md").unlink()
    (trained.path / "learnt.json").unlink()
    assert trained.damaged is None
    assert kit.evaluate("pubmedqa", kit.source, ["skill:qa"])[0].n == 20


def test_skill_with_numbers_that_are_not_finite_is_refused_though_its_card_says_nothing(kit, trained):
    values = load_file(trained.path / WEIGHTS)
    name = next(iter(values))
    values[name][0, 0] = math.inf
    save_file(values, trained.path / WEIGHTS)
    card = trained.path / "skill.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"files": {}}))
    with pytest.raises(BadInput, match=r"The adapter at \S+ is not finite in \S+: train the skill again"):
        kit.compose("mine", {"qa": 1.0})


def test_adapt_names_what_makes_the_objective_infinite(kit, trained):
    """Finite numbers may overflow in the model."""
    shutil.copytree(trained.path, huge := trained.path.parent / "er")
    save_file({name: torch.full_like(value, 1e19) for name, value in load_file(huge / WEIGHTS).items()}, huge / WEIGHTS)
    card = json.loads((huge / "skill.json").read_text())
    (huge / "skill.json").write_text(json.dumps({**card, "skill": "er", "template": "", "files": {}}))
    with pytest.raises((MdkifError, BadInput), match="'er'"):
        kit.adapt("pubmedqa", kit.source, router="cma-es", skills=["qa", "er"], settings=AdaptSettings(shots=2))
    assert kit.list("compositions") == []


@pytest.mark.parametrize("weight", [math.nan, math.inf, "much", None])
def test_composition_without_finite_weights_is_refused(kit, trained, weight):
    made = kit.compose("mine", {"qa": 1.0})
    [file] = (kit.workspace.store.root / "compositions").rglob("mine.json")
    body = json.loads(file.read_text())
    file.write_text(json.dumps({**body, "weights": {"qa": weight}}))
    with pytest.raises(BadInput, match=r"mine\.json is not a composition of mdkif with finite weights"):
        kit.evaluate("pubmedqa", kit.source, [made.name])
