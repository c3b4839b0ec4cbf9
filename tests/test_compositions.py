"""Compositions: what is kept, what is computed, and what is refused by name."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from mdkif import BadInput
from mdkif.core.adapters.peft_files import read_adapter
from mdkif.core.adapters.target import compose
from verbs import applied, bank_of, blend, load_composition, new_composition

WEIGHTS = {"nli": 0.6, "qa": 0.4, "er": -0.25}


@torch.no_grad()
def logits(model, tokens):
    return model(input_ids=tokens).logits


def dense(model, adapters, weights):
    modules = dict(model.named_modules())
    for name, weight in weights.items():
        for path, update in read_adapter(adapters[name]).items():
            modules[path].weight.data += weight * update.up @ update.down
    return model


def test_composition_is_saved_and_loaded_the_same(skilled):
    made = compose(skilled, "both", WEIGHTS)
    assert load_composition(skilled, "both") == made
    assert made.summary() == pytest.approx(WEIGHTS)
    assert made.base == "tiny"
    assert made.fingerprint == skilled.base.fingerprint
    stored = json.loads(skilled.store.composition("tiny", "both").read_text())
    assert stored["weights"] == pytest.approx(WEIGHTS)
    assert set(stored["adapters"]) == set(WEIGHTS)


def test_composition_applied_makes_the_base_compute_the_target(skilled, base, adapters, fresh, tokens):
    compose(skilled, "both", WEIGHTS)
    bare = logits(base.model, tokens)
    for target, weights in {"both": WEIGHTS, "skill:er": {"er": 1.0}, "base": {}}.items():
        with applied(skilled, target):
            found = logits(base.model, tokens)
        torch.testing.assert_close(found, logits(dense(fresh(), adapters, weights), tokens), atol=2e-5, rtol=1e-5)
        assert torch.equal(found, bare) == (target == "base")
    with pytest.raises(RuntimeError, match="inside"), applied(skilled, "both"):
        raise RuntimeError("inside")
    assert torch.equal(logits(base.model, tokens), bare)


@pytest.mark.parametrize("granularity", ["layer", "module"])
def test_composition_finer_weights_come_back_in_their_places(skilled, granularity):
    bank = bank_of(skilled, ["qa", "er"], granularity)
    weights = torch.randn(bank.shape, generator=torch.Generator().manual_seed(0))
    made = new_composition(skilled, "fine", ["qa", "er"], weights, granularity)
    found_bank, found = blend(skilled, "fine")
    assert found_bank.group_names == bank.group_names
    torch.testing.assert_close(found, weights)
    assert made.summary()["er"] == pytest.approx(weights[:, 1].mean().item(), rel=1e-5)


def test_composition_of_a_version_that_is_gone_is_refused_until_composed_again(skilled, put_skill, adapters):
    made = compose(skilled, "both", {"qa": 0.5, "nli": 0.5})
    put_skill(skilled, "er", adapters["qa"])
    assert load_composition(skilled, "both")
    put_skill(skilled, "qa", adapters["er"])
    with pytest.raises(BadInput, match=rf"'both' was made with 'qa@{made.adapters['qa']}', which is gone"):
        blend(skilled, "both")
    compose(skilled, "both", {"qa": 0.5, "nli": 0.5})
    shutil.rmtree(skilled.store.skill("tiny", "nli"))
    with pytest.raises(BadInput, match=r"made with 'nli@.*', which is gone"):
        blend(skilled, "both")


def test_composition_of_another_base_is_refused_by_name(skilled, put_skill, adapters):
    compose(skilled, "both", {"qa": 1.0})
    own = skilled.base.fingerprint
    other = replace(skilled.base, fingerprint="0123456789abcdef")
    skilled.__dict__["base"] = other
    with pytest.raises(BadInput, match=rf"composition 'both' belongs to 'tiny' \({own}\), not to this 'tiny'"):
        load_composition(skilled, "both")
    with pytest.raises(
        BadInput, match=rf"skill 'qa' was trained on 'tiny' \({own}\), not on 'tiny' \(0123456789abcdef\)"
    ):
        compose(skilled, "again", {"qa": 1.0})
    with pytest.raises(BadInput, match="skill 'er' was trained on"):
        blend(skilled, "skill:er")


@pytest.mark.parametrize("name", ["", "base", "skill:x", ".hidden", "..", "a/b", "../up", "a\\b"])
def test_composition_with_a_bad_name_is_refused_and_nothing_is_written(skilled, name):
    with pytest.raises(BadInput, match="cannot be named"):
        compose(skilled, name, {"qa": 1.0})
    assert not (skilled.store.root / "compositions").exists()


def test_composition_unknown_by_name_is_answered_with_the_nearest(skilled):
    compose(skilled, "pubmedqa-cma-es", {"qa": 1.0})
    with pytest.raises(BadInput, match="no composition named 'pubmedqa-cmaes': did you mean 'pubmedqa-cma-es'"):
        blend(skilled, "pubmedqa-cmaes")
    with pytest.raises(BadInput, match="no trained skill named 'nil': did you mean 'nli'"):
        compose(skilled, "x", {"nil": 1.0})
    with pytest.raises(BadInput, match=r"no trained skill named 'ts'.*mdkif train ts"):
        blend(skilled, "skill:ts")


def test_composition_in_an_empty_store_says_how_to_begin(workspace):
    with pytest.raises(BadInput, match="No skill is trained on 'tiny' yet: begin with 'mdkif train SKILL'"):
        bank_of(workspace, None)
    with pytest.raises(BadInput, match=r"no composition named 'x': none is installed\. Make one with 'mdkif adapt'"):
        blend(workspace, "x")


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"name": "x", "strange": 1}'])
def test_composition_that_is_broken_is_refused_with_its_place(skilled, text):
    path = skilled.store.composition("tiny", "broken")
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(BadInput, match=r"broken\.json"):
        blend(skilled, "broken")
