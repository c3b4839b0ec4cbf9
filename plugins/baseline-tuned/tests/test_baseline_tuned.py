"""Tuning on the task's own examples: each method learns, counts what it trains, and leaves the model as it was."""

import copy
from dataclasses import replace

import pytest
import torch
from mdkif import MdkifError, Residual, Toolkit, TuneSettings, fitted, shots_loss
from mdkif.testing import assert_conforms, given_to, questions
from mdkif_baseline_tuned import IA3, Full, LoRA, PrefixTuning, PromptTuning, PTuning
from peft import get_peft_model

METHODS = {
    "lora": LoRA(rank=2, learning_rate=2e-3),
    "prompt-tuning": PromptTuning(virtual_tokens=3, learning_rate=0.05),
    "prefix-tuning": PrefixTuning(virtual_tokens=3, learning_rate=0.05),
    "p-tuning": PTuning(virtual_tokens=3, hidden=8, learning_rate=0.05),
    "ia3": IA3(learning_rate=0.05),
    "full": Full(learning_rate=1e-3),
}
EVERY = pytest.mark.parametrize("name", METHODS)


@pytest.fixture(scope="module")
def kit(tmp_path_factory):
    return Toolkit(tmp_path_factory.mktemp("store"), "tiny", dtype="float32", format="plain")


@pytest.fixture
def given(kit):
    """A function that makes what a baseline is given; the model must be left as it was."""
    base = kit.workspace.base
    before = {name: value.clone() for name, value in base.model.state_dict().items()}

    def given(kind="labels", seed=0):
        found = given_to(questions(kind, 3, 2), questions(kind, 8, 1), seed)
        encoder = kit.workspace.encoder(kit.workspace.template(found.task), 256)
        return replace(found, model=encoder)

    yield given
    after = base.model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert not any(p.requires_grad for p in base.model.parameters())
    assert not hasattr(base.model, "peft_config")


def test_baseline_tuned_conforms():
    assert_conforms("mdkif-baseline-tuned")


@EVERY
@pytest.mark.parametrize("kind", ["labels", "text"])
def test_tuned_method_learns_its_examples_and_says_how(given, name, kind):
    own = given(kind)
    examples = own.encoder.encode_all(own.examples, "examples")
    loss = shots_loss(own.task, own.encoder, examples)
    method = replace(METHODS[name], steps=4, batch_size=8)
    settings = TuneSettings(steps=4, batch_size=8, learning_rate=method.learning_rate)
    with fitted(own.encoder.base, method.tunable(), loss, settings, 0, own.progress) as (tuned, found):
        expected = own.predict(tuned)
        assert found.after < found.before
    answers = method.answers(own)
    assert [(each.text, each.scores) for each in answers] == [(each.text, each.scores) for each in expected]
    assert own.counts["steps"] == 4
    assert own.counts["tuned by choice"] == float(kind == "labels")
    assert own.counts["trainable parameters"] == found.trainable


@EVERY
def test_tuned_trainable_parameters_are_those_that_peft_counts(given, name):
    own = given()
    model = copy.deepcopy(own.encoder.base.model)
    if name == "full":
        expected = sum(p.numel() for p in model.parameters())
    elif name == "lora":
        layers = [m for path, m in model.named_modules() if isinstance(m, torch.nn.Linear) and path != "lm_head"]
        expected = sum(2 * (layer.in_features + layer.out_features) for layer in layers)
    else:
        expected = get_peft_model(model, METHODS[name].tunable().config).get_nb_trainable_parameters()[0]
    replace(METHODS[name], steps=0).answers(own)
    assert own.counts["trainable parameters"] == expected


@pytest.mark.parametrize("name", ["prompt-tuning", "prefix-tuning", "p-tuning"])
def test_tuned_prompts_stand_before_every_question_as_peft_puts_them(given, name):
    """One question at a time, without padding, by PEFT's own forward."""
    own = given()
    with METHODS[name].tunable().fresh(own.encoder.base, 3) as (tuned, parameters):
        with torch.no_grad():
            for each in parameters:
                each.add_(0.3)
        found = own.predict(tuned)
        for encoded, prediction in zip(own.encoder.encode(own.records), found, strict=True):
            for option, total in zip(encoded.options, prediction.likelihoods.sums, strict=True):
                ids = torch.tensor([[*encoded.prompt, *option]])
                with torch.no_grad():
                    logits = tuned.model(input_ids=ids).logits[0]
                logp = torch.log_softmax(logits[-len(option) - 1 : -1], -1)
                assert logp.gather(1, torch.tensor(option)[:, None]).sum().item() == pytest.approx(total, abs=2e-4)
        bare = own.predict()
    assert max(abs(a - b) for one, other in zip(found, bare, strict=True)
               for a, b in zip(one.scores, other.scores, strict=True)) > 1e-3  # fmt: skip


def test_tuned_steps_and_loss_are_those_that_do_best_on_held_out_examples(given):
    from mdkif import held_out

    own = given()
    method = replace(METHODS["lora"], most=4, every=2, folds=2)
    method.answers(own)
    examples = own.encoder.encode_all(own.examples, "examples")
    settings = TuneSettings(learning_rate=2e-3, most=4, every=2, folds=2)
    losses = [shots_loss(own.task, own.encoder, examples, name) for name in ("choice", "cross-entropy")]
    base, tunable = own.encoder.base, Residual(2)
    tried = [held_out(base, tunable, each, settings, 0, own.progress, losses[0]) for each in losses]
    value, steps, which = min((v, n, i) for i, found in enumerate(tried) for n, v in found.items())
    assert (own.counts["steps"], own.counts["tuned by choice"]) == (steps, float(which == 0))
    assert value == min(min(found.values()) for found in tried)


def test_tuned_answers_alike_with_a_seed(given):
    method = replace(METHODS["lora"], steps=2)
    scores = [[p.scores for p in method.answers(given(seed=seed))] for seed in (0, 0, 1)]
    assert scores[0] == scores[1] != scores[2]


def test_tuned_learns_from_as_many_examples_as_it_may(given):
    own = given()
    replace(METHODS["lora"], steps=1, examples=5).answers(own)
    assert own.counts["tuned on"] == 5


def test_tuned_rate_that_is_too_high_is_told(given):
    with pytest.raises(MdkifError, match="lower its rate, now 1e\\+30"):
        replace(METHODS["lora"], steps=4, learning_rate=1e30).answers(given())
