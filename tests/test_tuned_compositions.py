"""Compositions with a residual: weights and a small LoRA, kept, measured, exported and taken away as one."""

import json
import stat
from dataclasses import replace

import pytest
import torch
from mdkif import BadInput, Task
from mdkif.core.adapters import inventory
from mdkif.core.adapters.composition import save_residual
from mdkif.core.adapters.low_rank import LowRank
from mdkif.core.adapters.target import save
from mdkif.core.export.export import export
from mdkif.core.tuning.losses import shots_loss
from mdkif.testing import run
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM
from verbs import adapt, applied, bank_of, blend, evaluate, kit_of, load_composition, new_composition, task_encoder

SKILLS = ["qa", "nli", "er"]


@torch.no_grad()
def logits(model, tokens):
    return model.eval()(input_ids=tokens).logits


@pytest.fixture
def learn(ready, pubmedqa):
    def learn(router="uniform", tune="2", name="tuned", replace_it=False, **settings):
        given = {
            "shots": 8,
            "split": "adapt",
            "tune": tune,
            "tune_rank": 2,
            "tune_rate": 0.01,
            "tune_most": 4,
            **settings,
        }
        chosen = {key: str(value) for key, value in given.items()}
        return adapt(ready, "pubmedqa", {"pubmedqa": pubmedqa}, SKILLS, router, chosen, name, replace=replace_it)

    return learn


def residuals(workspace):
    return sorted(path.stem for path in workspace.store.compositions("tiny").glob("*.safetensors"))


@pytest.mark.parametrize("router", ["base", "single", "uniform", "gradient"])
def test_adapt_tunes_from_any_start_and_the_composition_computes_what_was_tuned(learn, ready, router, examples):
    found = learn(router)
    assert found.tuned.after < found.tuned.before
    task = ready.plugins.get(Task, "pubmedqa")
    loss = shots_loss(task, task_encoder(ready, "pubmedqa"), examples)
    for name, value in (("tuned", found.tuned.after), ("untuned:tuned", found.tuned.before)):
        with applied(ready, name) as base:
            assert loss.value(base) == pytest.approx(value, rel=1e-4)
    assert found.tuned.before == pytest.approx(found.end, rel=1e-4), "the router's objective at its weights"
    assert found.composition.origin["tuned"] == found.tuned.as_json()
    assert load_composition(ready, "tuned") == found.composition


def test_adapt_tunes_nothing_where_it_is_not_asked_to(learn, ready):
    for tune in ("none", "0"):
        found = learn(tune=tune)
        assert (found.tuned, found.composition.residual) == (None, "")
    assert residuals(ready) == []


def test_adapt_chooses_its_steps_and_may_choose_none(learn, ready):
    found = learn(tune="auto")
    assert list(found.tuned.held_out) == [0, 4]
    assert found.tuned.steps == min(found.tuned.held_out, key=found.tuned.held_out.__getitem__)
    assert bool(found.composition.residual) == (found.tuned.steps > 0)
    spoilt = learn(tune="auto", name="spoilt", tune_rate=3.0, objective="cross-entropy")
    assert (spoilt.tuned.steps, spoilt.composition.residual) == (0, "")


def test_adapt_tunes_alike_with_a_seed(learn):
    first, again, other = (learn(name=f"s{i}", seed=seed).composition for i, seed in enumerate((3, 3, 4)))
    assert first.residual == again.residual != other.residual
    assert first.version == again.version != other.version


def test_adapt_says_what_tune_may_be_before_the_model_is_loaded(workspace, pubmedqa, put_skill, adapters):
    put_skill(workspace, "qa", adapters["qa"])
    workspace.__dict__["base"] = None  # whatever is asked of it fails
    workspace.base_name = "tiny"
    with pytest.raises(BadInput, match="tune cannot be 'yes': give a number of steps, auto or none"):
        adapt(workspace, "pubmedqa", {"pubmedqa": pubmedqa}, ["qa"], "uniform", {"tune": "yes"})


@pytest.mark.parametrize("granularity", ["skill", "layer", "module"])
def test_tuned_composition_is_one_lora_in_plain_peft(learn, ready, fresh, tokens, tmp_path, granularity):
    found = learn(granularity=granularity, scale="one")
    facts = export(ready, "tuned", tmp_path / "out", "lora")
    theirs = logits(PeftModel.from_pretrained(fresh(), str(tmp_path / "out")), tokens)
    with applied(ready, "tuned") as base:
        ours = logits(base.model, tokens)
    with applied(ready, "untuned:tuned") as base:
        bare = logits(base.model, tokens)
    torch.testing.assert_close(theirs, ours, atol=1e-5, rtol=0)
    assert (ours - bare).abs().max() > 1e-2
    assert facts["rank"] == 2 + export(ready, "untuned:tuned", tmp_path / "bare", "lora")["rank"]
    weights = blend(ready, "tuned")[1]
    assert torch.equal(weights[..., -1], torch.ones_like(weights[..., -1]))
    assert found.composition.summary() == pytest.approx(dict.fromkeys(SKILLS, 1 / 3))


def test_tuned_composition_reaches_modules_that_no_skill_touches(skilled, fresh, tokens, tmp_path):
    """Skills of two projections only, a weight in each module, and a residual of another one."""
    bank = bank_of(skilled, ["nli"], "module")
    assert not any("down_proj" in path for path in bank.paths)
    made = new_composition(skilled, "both", ["nli"], torch.full(bank.shape, 0.5), "module")
    path = "model.layers.1.mlp.down_proj"
    shape = dict(skilled.base.model.named_modules())[path].weight.shape
    own = {path: LowRank(torch.full((1, shape[1]), 0.05), torch.ones(shape[0], 1))}
    residual = save_residual(own, skilled.store.compositions("tiny"))
    save(skilled, replace(made, residual=residual), replace=True)
    export(skilled, "both", tmp_path / "out", "lora")
    theirs = logits(PeftModel.from_pretrained(fresh(), str(tmp_path / "out")), tokens)
    with applied(skilled, "both") as base:
        torch.testing.assert_close(theirs, logits(base.model, tokens), atol=1e-5, rtol=0)


def test_tuned_composition_is_merged_as_a_whole(learn, ready, tokens, tmp_path):
    learn()
    export(ready, "tuned", tmp_path / "out", "merged")
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "out", use_safetensors=True)
    with applied(ready, "tuned") as base:
        torch.testing.assert_close(logits(merged, tokens), logits(base.model, tokens), atol=1e-5, rtol=0)


def test_evaluate_measures_a_composition_with_and_without_its_residual(learn, ready, pubmedqa):
    learn(tune="4")
    done = evaluate(ready, "pubmedqa", {"pubmedqa": pubmedqa}, ["tuned", "untuned:tuned", "base"], limit=8)
    losses = [each.metrics["log_loss"] for each in done]
    assert len({round(loss, 4) for loss in losses}) == 3
    assert [json.loads(each.report.read_text())["with"] for each in done] == ["tuned", "untuned:tuned", "base"]
    assert len({json.loads(each.report.read_text())["composition"] for each in done}) == 3


def test_residual_is_for_its_owner_to_read_and_for_nobody_to_change(learn, ready):
    made = learn().composition
    path = ready.store.compositions("tiny") / f"{made.residual}.safetensors"
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    assert {tensor.dtype for tensor in load_file(path).values()} == {torch.float32}


def damaged(path, how):
    tensors = load_file(path)
    path.chmod(0o600)
    if how == "gone":
        path.unlink()
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:-7])
    elif how == "changed":
        save_file({key: value + 1e-4 for key, value in tensors.items()}, path)
    else:
        save_file({key: value * float("nan") for key, value in tensors.items()}, path)


@pytest.mark.parametrize(("how", "said"), [
    ("gone", "is gone: .* is missing"), ("cut", "cannot be read"), ("changed", "is damaged: .* by its SHA-256"),
    ("not finite", "is damaged"),
])  # fmt: skip
def test_residual_that_is_not_what_was_saved_is_refused_by_name(learn, ready, pubmedqa, how, said):
    made = learn().composition
    damaged(ready.store.compositions("tiny") / f"{made.residual}.safetensors", how)
    with pytest.raises(
        BadInput, match=rf"residual of the composition 'tuned' {said}.*restore the file, or adapt again"
    ):
        evaluate(ready, "pubmedqa", {"pubmedqa": pubmedqa}, ["base", "tuned"], limit=4)
    assert evaluate(ready, "pubmedqa", {"pubmedqa": pubmedqa}, ["untuned:tuned"], limit=4)


def test_residual_is_taken_away_with_the_last_composition_that_names_it(learn, ready):
    first = learn(tune="2").composition
    second = learn(tune="3").composition
    assert residuals(ready) == sorted([first.residual, second.residual])
    kept = f"tuned@{first.version}"
    with applied(ready, kept), applied(ready, f"untuned:{kept}"):
        pass
    inventory.remove(ready.store, "tuned")
    assert residuals(ready) == [first.residual]
    inventory.remove(ready.store, kept)
    assert residuals(ready) == []


def test_residual_that_was_replaced_is_taken_away(learn, ready):
    learn(tune="2")
    second = learn(tune="3", replace_it=True).composition
    assert residuals(ready) == [second.residual]
    learn(tune="3", name="twin")
    inventory.remove(ready.store, "tuned")
    assert residuals(ready) == [second.residual], "the other composition has the same"


def test_tuned_composition_is_shown_with_what_was_tuned(learn, ready):
    found = learn()
    [row] = [row for row in kit_of(ready).list("compositions") if row["name"] == "tuned"]
    assert row["title"].endswith(", and tuned")
    [card] = kit_of(ready).show("tuned")
    assert card["origin"]["tuned"]["steps"] == 2
    assert card["residual"] == found.composition.residual


@pytest.mark.parametrize("name", ["untuned:x", "baseline:x", "skill:x"])
def test_composition_cannot_have_a_name_that_means_something_else(learn, name):
    with pytest.raises(BadInput, match=f"cannot be named '{name}'"):
        learn(name=name)


def test_command_line_tunes_and_tells(ready, pubmedqa, capsys, tmp_path):
    where = ("--store", ready.store.root, "adapt", "pubmedqa", "--source", f"pubmedqa={pubmedqa}")
    drawn = ("--shots", "8", "--split", "adapt", "--set", "tune_rank=2")
    common = (*where, "--base", ready.base.path, "--router", "uniform", *drawn)
    assert run(*common, "--tune", "2", "--json") == 0
    told = json.loads(capsys.readouterr().out)["tuned"]
    assert told["steps"] == 2
    assert told["after"] < told["before"]
    assert run(*common, "--tune", "2") == 0
    assert "tuned for 2 steps; on these records" in capsys.readouterr().out
    assert run(*common, "--tune", "often") == 2
    assert "tune cannot be 'often'" in capsys.readouterr().err
