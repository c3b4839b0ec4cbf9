"""Artifacts: low-rank adapters are blended, others are applied alone and refused by the bank by name."""

import json
from typing import Any

import pytest
import torch
from mdkif import BadInput
from mdkif.core.adapters.artifact import LowRankArtifact, ModelArtifact, PeftArtifact, open_artifact
from mdkif.core.adapters.library import library_of
from peft import IA3Config, PeftModel, PromptTuningConfig, get_peft_model
from verbs import applied, bank_of, evaluate

IA3: dict[str, Any] = {"target_modules": ["k_proj", "v_proj", "down_proj"], "feedforward_modules": ["down_proj"]}
OTHERS = {
    "ia3": IA3Config(task_type="CAUSAL_LM", **IA3),
    "prompt": PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3),
}


@torch.no_grad()
def logits(model, tokens):
    return model.eval()(input_ids=tokens).logits


def card(base, **facts):
    return json.dumps(
        {"skill": "x", "base": base.name, "fingerprint": base.fingerprint, "adapter": "abcdef01", "files": {}, **facts}
    )


@pytest.fixture
def put(skilled, fresh):
    """A function that has PEFT save an adapter of another kind, with random parameters, as a trained skill."""

    def put(name):
        folder = skilled.store.skill(skilled.base.name, name)
        model = get_peft_model(fresh(), OTHERS[name])
        draw = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.add_(torch.randn(parameter.shape, generator=draw) * 0.3)
        model.save_pretrained(str(folder))
        (folder / "skill.json").write_text(card(skilled.base))
        return folder

    return put


@pytest.mark.parametrize("name", OTHERS)
def test_artifact_that_is_no_low_rank_sum_is_applied_as_peft_applies_it(skilled, put, fresh, tokens, name):
    folder = put(name)
    bare = logits(skilled.base.model, tokens)
    theirs = logits(PeftModel.from_pretrained(fresh(), str(folder)), tokens)
    with applied(skilled, f"skill:{name}") as adapted:
        found = logits(adapted.model, tokens)
    torch.testing.assert_close(found, theirs)
    assert (found[:, -tokens.shape[1] :] - bare).abs().max() > 1e-3
    assert torch.equal(logits(skilled.base.model, tokens), bare)


@pytest.mark.parametrize("name", OTHERS)
def test_bank_refuses_by_name_what_cannot_be_blended(skilled, put, name):
    put(name)
    kind = {"ia3": "IA3", "prompt": "PROMPT_TUNING"}[name]
    with pytest.raises(
        BadInput, match=rf"The skill '{name}' is a PEFT adapter of type {kind}.*use it alone, as skill:"
    ):
        bank_of(skilled, ["qa", name])
    assert set(library_of(skilled).choose()) == {"qa", "nli", "er"}, "all that can be blended"


def test_evaluate_measures_a_skill_that_cannot_be_blended(skilled, put, pubmedqa):
    put("ia3")
    base, found = evaluate(skilled, "pubmedqa", {"pubmedqa": pubmedqa}, ["base", "skill:ia3"], limit=6)
    assert found.n == base.n == 6
    assert found.metrics["log_loss"] != pytest.approx(base.metrics["log_loss"], abs=1e-6)


def test_artifact_of_a_whole_model_takes_the_place_of_the_base_while_it_is_applied(skilled, fresh, tokens):
    folder = skilled.store.skill(skilled.base.name, "full")
    model = fresh()
    with torch.no_grad():
        model.model.layers[0].mlp.up_proj.weight.mul_(1.5)
    model.save_pretrained(folder)
    (folder / "skill.json").write_text(card(skilled.base))
    before = logits(skilled.base.model, tokens)
    with applied(skilled, "skill:full") as adapted:
        torch.testing.assert_close(logits(adapted.model, tokens), logits(model, tokens))
    assert torch.equal(logits(skilled.base.model, tokens), before)
    with pytest.raises(BadInput, match="The skill 'full' is a whole model"):
        bank_of(skilled, ["full"])


def test_kind_of_an_artifact_follows_from_its_files(skilled, put, fresh):
    assert isinstance(library_of(skilled).get("er"), LowRankArtifact)
    assert isinstance(open_artifact(put("ia3"), "ia3"), PeftArtifact)
    folder = skilled.store.skill(skilled.base.name, "full")
    fresh().save_pretrained(folder)
    (folder / "skill.json").write_text(card(skilled.base))
    assert isinstance(open_artifact(folder, "full"), ModelArtifact)
    (folder / "skill.json").write_text("[]")
    with pytest.raises(BadInput, match="is not a readable skill card"):
        open_artifact(folder, "full")


def test_artifact_of_another_base_is_refused_whatever_its_kind(skilled, put):
    folder = put("ia3")
    (folder / "skill.json").write_text(card(skilled.base, fingerprint="0" * 16))
    with pytest.raises(BadInput, match="skill 'ia3' was trained on"), applied(skilled, "skill:ia3"):
        pass
