"""Exports, loaded by PEFT and transformers alone, compute what the composition computes."""

import json
from dataclasses import replace

import pytest
import torch
from mdkif import BadInput
from mdkif.core.adapters.target import compose
from mdkif.core.export.export import export
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer
from verbs import applied, bank_of, new_composition, train_skill


@torch.no_grad()
def logits(model, tokens):
    return model.eval()(input_ids=tokens).logits


@pytest.fixture
def composed(skilled):
    compose(skilled, "all", {"qa": 0.7, "nli": -0.3, "er": 0.6})
    new_composition(skilled, "layered", ["qa", "er"], torch.tensor([[0.9, -0.2], [0.0, 0.7]]), "layer")
    return skilled


def expected(workspace, target, tokens):
    with applied(workspace, target):
        return logits(workspace.base.model, tokens)


@pytest.mark.parametrize(("target", "rank"), [("all", 12), ("layered", 9), ("skill:er", 5), ("skill:nli", 3)])
def test_export_of_a_lora_gives_the_same_logits_in_plain_peft(composed, fresh, tmp_path, tokens, target, rank):
    facts = export(composed, target, tmp_path / "out", "lora")
    assert facts["rank"] == rank
    found = logits(PeftModel.from_pretrained(fresh(), str(tmp_path / "out")), tokens)
    assert (found - logits(fresh(), tokens)).abs().max() > 0.05
    torch.testing.assert_close(found, expected(composed, target, tokens), atol=1e-5, rtol=0)
    config = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert config["r"] == config["lora_alpha"] == rank


def test_export_of_adalora_as_lora_changes_no_logit_beyond_rounding(composed, adapters, fresh, tmp_path, tokens):
    export(composed, "skill:er", tmp_path / "out", "lora")
    found = logits(PeftModel.from_pretrained(fresh(), str(tmp_path / "out")), tokens)
    theirs = logits(PeftModel.from_pretrained(fresh(), str(adapters["er"])), tokens)
    effect = (theirs - logits(fresh(), tokens)).abs().max()
    assert (found - theirs).abs().max() < 1e-5 * effect


@pytest.mark.parametrize("target", ["all", "layered", "skill:er"])
def test_export_of_a_merged_model_gives_the_same_logits_in_transformers(composed, base, tmp_path, tokens, target):
    facts = export(composed, target, tmp_path / "out", "merged")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out", use_safetensors=True)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    torch.testing.assert_close(logits(model, tokens), expected(composed, target, tokens), atol=1e-5, rtol=0)
    assert 0 < facts["update_error"] < 1e-5
    assert not any("lora" in name for name, _ in model.named_parameters())
    text = "The patient has asthma."
    assert tokenizer(text)["input_ids"] == base.tokenizer(text)["input_ids"]


def test_export_of_a_merged_model_tells_what_the_cast_makes_of_the_update(composed, fresh, tmp_path):
    half = fresh().to(torch.bfloat16)
    composed.__dict__["base"] = replace(composed.base, model=half)
    before = {name: value.clone() for name, value in half.state_dict().items()}
    facts = export(composed, "all", tmp_path / "out", "merged")
    bank = bank_of(composed, ["qa", "nli", "er"])
    weights = torch.tensor([0.7, -0.3, 0.6])
    saved = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.bfloat16).state_dict()
    deltas = {path: bank.delta(path, weights).double() for path in bank.paths}
    off = {path: saved[f"{path}.weight"] - before[f"{path}.weight"].double() - delta for path, delta in deltas.items()}
    error = sum(each.square().sum() for each in off.values()) / sum(each.square().sum() for each in deltas.values())
    assert facts["update_error"] == pytest.approx(error.sqrt().item(), rel=1e-4)
    assert 1e-3 < facts["update_error"] < 0.05
    assert all(torch.equal(value, before[name]) for name, value in half.state_dict().items())


@pytest.mark.parametrize(("to", "remedy"), [("merged", "and so does --dtype float32"), ("gguf", "for PEFT")])
def test_export_warns_of_an_update_that_rounding_takes_away(composed, fresh, tmp_path, to, remedy):
    composed.__dict__["base"] = replace(composed.base, model=fresh().to(torch.bfloat16))
    said = []
    composed.progress.note = said.append
    compose(composed, "small", {"qa": 0.0004, "nli": 0.0002})
    facts = export(composed, "small", tmp_path / "out", to)
    assert facts["update_error"] > 0.1
    [line] = said
    assert line.startswith(
        f"Rounding in what was written is {facts['update_error']:.0%} of the update's own size: --to lora"
    )
    assert remedy in line
    said.clear()
    export(composed, "small", tmp_path / "lora", "lora")
    export(composed, "all", tmp_path / to, to)
    assert said == []


def test_export_of_a_lora_in_half_precision_has_factors_of_float32(composed, fresh, tmp_path):
    exact = export(composed, "all", tmp_path / "exact", "lora")
    composed.__dict__["base"] = replace(composed.base, model=fresh().to(torch.bfloat16))
    found = export(composed, "all", tmp_path / "half", "lora")
    one, other = (load_file(tmp_path / place / "adapter_model.safetensors") for place in ("exact", "half"))
    assert all(value.dtype == torch.float32 and torch.equal(value, other[name]) for name, value in one.items())
    assert exact["update_error"] == found["update_error"] == 0


def test_export_after_training_in_the_same_process_is_clean(workspace, pubmedqa, fresh, tmp_path, tokens):
    train_skill(workspace, "qa", {"pubmedqa": pubmedqa}, "lora", {"steps": "4", "batch_size": "4"})
    export(workspace, "skill:qa", tmp_path / "merged", "merged")
    export(workspace, "skill:qa", tmp_path / "lora", "lora")
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    lora = PeftModel.from_pretrained(fresh(), str(tmp_path / "lora"))
    torch.testing.assert_close(logits(merged, tokens), logits(lora, tokens), atol=1e-5, rtol=0)
    assert not (tmp_path / "merged" / "adapter_config.json").exists()


@pytest.mark.parametrize("to", ["lora", "merged"])
def test_export_facts_are_written_beside_the_weights(composed, tmp_path, to):
    facts = export(composed, "all", tmp_path / "out", to)
    written = json.loads((tmp_path / "out" / "mdkif.json").read_text())
    assert set(written.pop("files")) == {path.name for path in (tmp_path / "out").iterdir()} - {"mdkif.json"}
    assert set(written.pop("bytes")) >= {"model.safetensors" if to == "merged" else "adapter_model.safetensors"}
    assert written == {key: value for key, value in facts.items() if key != "directory"}
    assert written["composition"] == "all"
    assert written["base"] == "tiny"
    assert written["fingerprint"] == composed.base.fingerprint


def test_export_refuses_what_cannot_be_exported(composed, tmp_path):
    with pytest.raises(BadInput, match="no export format 'onnx': use one of lora, merged"):
        export(composed, "all", tmp_path / "out", "onnx")
    with pytest.raises(BadInput, match="base model alone has nothing to export"):
        export(composed, "base", tmp_path / "out", "lora")
    with pytest.raises(BadInput, match="no composition named 'al'"):
        export(composed, "al", tmp_path / "out", "lora")
    assert not (tmp_path / "out").exists()


def test_export_leaves_a_folder_with_anything_in_it_alone(composed, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for place in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(BadInput, match="is not empty"):
            export(composed, "all", place, "lora")
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_export_that_fails_leaves_nothing(composed, tmp_path, monkeypatch):
    from mdkif.core.export import export as exporting

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(exporting, "write_lora", fail)
    with pytest.raises(KeyboardInterrupt):
        export(composed, "all", tmp_path / "deep" / "out", "lora")
    assert not list((tmp_path / "deep").iterdir())
