"""Few-shot tuning: its losses, the LoRA beside a blend, the folds, and how many steps are right."""

import math
import random
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mdkif import BadInput, MdkifError, Progress, Record, Task
from mdkif.core.adapters.bank import SkillBank
from mdkif.core.prompts.encoding import Encoded
from mdkif.core.tuning.fit import Fitted, fitted, folds
from mdkif.core.tuning.losses import AnswersLoss, OptionLoss, shots_loss
from mdkif.core.tuning.residual import Residual, linear_layers, tune_blend
from mdkif.core.tuning.settings import TuneSettings, tune_steps
from peft import LoraConfig, get_peft_model
from torch.nn import functional
from verbs import bank_of, task_encoder

SKILLS = ("qa", "nli", "er")
WEIGHTS = torch.tensor([0.7, -0.4, 0.5])
OPTIONS = ("yes", "no", "maybe")


@pytest.fixture
def loss_of(ready, examples):
    """A function that makes the loss of the eight examples by an objective."""

    def loss_of(objective="choice", tokens=4096, rows=None, **declared):
        task = replace(ready.plugins.get(Task, "pubmedqa"), **declared)
        encoder = task_encoder(ready, "pubmedqa")
        return shots_loss(task, encoder, examples if rows is None else rows, objective, tokens)

    return loss_of


@pytest.fixture
def blend(ready):
    return bank_of(ready, SKILLS).fused(WEIGHTS)


def quick(**settings):
    return TuneSettings(**{"learning_rate": 1e-2, "batch_size": 4, "folds": 2, "most": 4, "every": 2, **settings})


@pytest.mark.parametrize("normaliser", ["sum", "token-mean", "pmi"])
def test_option_loss_of_a_blend_is_the_routers_objective(loss_of, ready, objective, normaliser, examples):
    from mdkif.core.routing.objective import adaptation_objective
    from mdkif.core.routing.optimizer import AdaptSettings

    task = replace(ready.plugins.get(Task, "pubmedqa"), normaliser=normaliser)
    bank, encoder = bank_of(ready, SKILLS), task_encoder(ready, "pubmedqa")
    own = adaptation_objective(ready, task, encoder, bank, dict.fromkeys(SKILLS, "1"), examples, AdaptSettings())
    loss = loss_of(normaliser=normaliser)
    assert isinstance(loss, OptionLoss)
    with bank.blend(WEIGHTS):
        assert loss.value(ready.base) == pytest.approx(own.evaluate_weights(WEIGHTS[None])[0], rel=1e-4)


def test_answers_loss_is_the_cross_entropy_of_answers(loss_of, ready, measured, examples):
    loss = loss_of("cross-entropy")
    assert isinstance(loss, AnswersLoss)
    expected = measured(dict(zip(SKILLS, WEIGHTS.tolist(), strict=True)), examples[2:5])
    with bank_of(ready, SKILLS).blend(WEIGHTS):
        assert loss.value(ready.base, [2, 3, 4]) == pytest.approx(expected, rel=1e-4)


def test_shots_loss_is_of_options_where_all_examples_list_them(loss_of, examples):
    free = replace(examples[0], options=(), record=replace(examples[0].record, options=(), labels=()))
    assert loss_of("auto").name == "choice"
    assert loss_of("accuracy").name == "choice"
    assert loss_of("auto", rows=[free, *examples[1:]]).name == "cross-entropy"


@pytest.mark.parametrize("objective", ["choice", "cross-entropy"])
@pytest.mark.parametrize("normaliser", ["sum", "pmi"])
def test_shots_loss_has_the_slope_of_its_values_however_many_passes_it_takes(
    loss_of, ready, blend, objective, normaliser
):
    rows, found = [0, 3, 5, 6], []
    for tokens in (8192, 400):
        loss = loss_of(objective, tokens, normaliser=normaliser)
        with Residual(2, blend=blend).fresh(ready.base, 0) as (base, parameters):
            value = loss.backward(base, rows)
            assert value == pytest.approx(loss.value(base, rows), rel=1e-5)
            slopes = torch.cat([p.grad.flatten() for p in parameters])
            way = slopes / slopes.norm()
            values = []
            for step in (0.02, -0.02):
                with torch.no_grad():
                    for p, part in zip(parameters, way.split([p.numel() for p in parameters]), strict=True):
                        p += step * part.reshape(p.shape)
                values.append(loss.value(base, rows))
                with torch.no_grad():
                    for p, part in zip(parameters, way.split([p.numel() for p in parameters]), strict=True):
                        p -= step * part.reshape(p.shape)
            assert (values[0] - values[1]) / 0.04 == pytest.approx(slopes.norm().item(), rel=0.02)
            found.append(slopes)
    torch.testing.assert_close(found[0], found[1], rtol=1e-3, atol=1e-6)


def test_residual_begins_as_the_blend_and_computes_the_sum_of_both(ready, blend, tokens):
    bank = bank_of(ready, SKILLS)
    draw = torch.Generator().manual_seed(1)
    own = Residual(3, alpha=6.0, blend=blend)
    with torch.no_grad(), bank.merged(WEIGHTS):
        expected = ready.base.model(input_ids=tokens).logits
    with own.fresh(ready.base, 5) as (base, parameters), torch.no_grad():
        assert {p.shape[0] for p in parameters[::2]} == {p.shape[1] for p in parameters[1::2]} == {3}
        torch.testing.assert_close(base.model(input_ids=tokens).logits, expected, atol=1e-5, rtol=0)
        for p in parameters[1::2]:
            p.copy_(torch.randn(p.shape, generator=draw) * 0.1)
        found = base.model(input_ids=tokens).logits
        updates = own.updates(base, parameters)
    assert set(updates) == set(linear_layers(ready.base))
    assert not any("lm_head" in path for path in updates)
    both = SkillBank(ready.base.model, {"blend": blend, "own": updates})
    with torch.no_grad(), both.merged(torch.ones(2)):
        torch.testing.assert_close(found, ready.base.model(input_ids=tokens).logits, atol=2e-5, rtol=0)
    assert (found - expected).abs().max() > 0.01


def test_fitted_takes_the_steps_that_plain_peft_takes(ready, fresh, examples, loss_of):
    """From the same beginning, with the same records in each step, in PyTorch and PEFT alone."""
    settings, own = quick(steps=3, max_grad_norm=0.5), Residual(2, alpha=6.0)
    loss = loss_of("cross-entropy")
    with own.fresh(ready.base, 7) as (_, beginning):
        begun = dict(zip(linear_layers(ready.base), beginning[::2], strict=True))
        begun = {path: down.detach().clone() for path, down in begun.items()}
    with fitted(ready.base, own, loss, settings, 7, Progress()) as (tuned, found):
        after = loss.value(tuned)
    config = LoraConfig(r=2, lora_alpha=6, target_modules="all-linear", task_type="CAUSAL_LM")
    theirs = get_peft_model(fresh(), config)
    for path, down in begun.items():
        theirs.get_parameter(f"base_model.model.{path}.lora_A.default.weight").data.copy_(down)

    def cross_entropy(rows):
        total, count = 0.0, 0
        for row in rows:
            ids = torch.tensor([examples[row].prompt + examples[row].answer])
            logits = theirs(input_ids=ids).logits[0, len(examples[row].prompt) - 1 : -1]
            total += functional.cross_entropy(logits, ids[0, len(examples[row].prompt) :], reduction="sum")
            count += len(examples[row].answer)
        return total / count

    trained = [p for p in theirs.parameters() if p.requires_grad]
    adam, draw = torch.optim.AdamW(trained, lr=1e-2, weight_decay=0.0), random.Random("tune:7")
    before = cross_entropy(range(8)).item()
    for _ in range(3):
        adam.zero_grad()
        cross_entropy(draw.sample(range(8), 4)).backward()
        torch.nn.utils.clip_grad_norm_(trained, 0.5)
        adam.step()
    assert found.before == pytest.approx(before, rel=1e-4)
    assert found.after == after == pytest.approx(cross_entropy(range(8)).item(), rel=1e-3)
    assert after < before - 1e-3
    assert (found.steps, found.held_out) == (3, {})
    assert found.trainable == sum(p.numel() for p in trained)


def test_fitted_steps_are_those_of_the_least_loss_on_held_out_records(ready, loss_of, examples):
    settings, own, loss = quick(most=3, every=2), Residual(2), loss_of()
    with fitted(ready.base, own, loss, settings, 0, Progress()) as (_, found):
        pass
    parts, expected = folds(examples, 2), dict.fromkeys((0, 2, 3), 0.0)
    for held in parts:
        rows = [row for row in range(len(examples)) if row not in held]
        part = loss_of(rows=[examples[row] for row in rows])
        for steps in expected:
            with fitted(ready.base, own, part, replace(settings, steps=steps), 0, Progress()) as (tuned, _):
                expected[steps] += loss.value(tuned, held) * len(held) / len(examples)
    assert list(found.held_out) == [0, 2, 3]
    assert found.held_out == pytest.approx(expected, rel=1e-4)
    assert found.steps == min(found.held_out, key=found.held_out.__getitem__)


def test_tuned_blend_is_left_as_it_is_where_no_step_helps_records_held_out(ready, loss_of, blend):
    """Steps of this length destroy whatever the model knew."""
    found, updates = tune_blend(
        ready.base, Residual(2, blend=blend), loss_of("cross-entropy"), quick(learning_rate=3.0), 0, Progress()
    )
    assert (found.steps, updates) == (0, {})
    assert found.before == found.after


def test_tuned_blend_repeats_with_a_seed(ready, loss_of, blend):
    own = Residual(2, blend=blend)
    runs = [tune_blend(ready.base, own, loss_of(), quick(steps=2), seed, Progress()) for seed in (4, 4, 5)]
    ups = [torch.cat([each.up.flatten() for each in updates.values()]) for _, updates in runs]
    assert torch.equal(ups[0], ups[1])
    assert not torch.equal(ups[0], ups[2])
    assert runs[0][0].after == runs[1][0].after < runs[0][0].before


def test_tuning_that_diverges_says_what_to_lower(ready, loss_of):
    with pytest.raises(MdkifError, match=r"tuning became .* at step \d: lower its rate, now 1e\+30"):
        tune_blend(ready.base, Residual(2), loss_of(), quick(steps=4, learning_rate=1e30), 0, Progress())


def test_fitted_as_json_holds_figures_alone():
    held = {0: 1.5, 4: 1.25}
    found = Fitted(4, 1.5, 0.5, held, [torch.zeros(2, 3), torch.zeros(4)])
    assert found.as_json() == {
        "steps": 4,
        "before": 1.5,
        "after": 0.5,
        "held_out": {"0": 1.5, "4": 1.25},
        "trainable": 10,
    }


def encoded(group, label, options=OPTIONS, number=0):
    record = Record(id=f"r{number}", query="?", answer=label, options=options, labels=(label,), group=group)
    return Encoded(record, (1,), (2,))


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from(OPTIONS)), min_size=2, max_size=40),
       st.integers(2, 6))  # fmt: skip
def test_folds_part_the_records_with_groups_whole(drawn, count):
    examples = [encoded(group, label, number=i) for i, (group, label) in enumerate(drawn)]
    groups = {group for group, _ in drawn}
    if len(groups) < 2:
        with pytest.raises(BadInput, match="no two groups of records to hold out in turn: give it, as in --tune 8"):
            folds(examples, count)
        return
    parts = folds(examples, count)
    assert sorted(place for part in parts for place in part) == list(range(len(examples)))
    assert len(parts) == min(count, len(groups))
    held = [{drawn[place][0] for place in part} for part in parts]
    assert sum(map(len, held)) == len(groups)


@given(st.lists(st.sampled_from(OPTIONS), min_size=8, max_size=40))
def test_folds_have_every_label_evenly(labels):
    examples = [encoded(f"g{i}", label, number=i) for i, label in enumerate(labels)]
    for label in OPTIONS:
        counts = [sum(labels[place] == label for place in part) for part in folds(examples, 4)]
        assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize(("text", "steps"), [("auto", None), ("none", 0), ("0", 0), ("12", 12)])
def test_tune_takes_auto_none_or_a_number(text, steps):
    assert tune_steps(text) == steps


@pytest.mark.parametrize("text", ["", "-1", "1.5", "yes", "8 "])
def test_tune_takes_nothing_else(text):
    with pytest.raises(BadInput, match=rf"tune cannot be '{text}': give a number of steps, auto or none"):
        tune_steps(text)


def test_tune_settings_are_the_probes():
    assert TuneSettings() == TuneSettings(steps=None, learning_rate=1e-3, batch_size=16, folds=4, most=16, every=4)
    assert (Residual().rank, Residual().alpha) == (4, 16.0)
    assert math.isclose(TuneSettings().max_grad_norm, 1.0)
