"""AdaLoRA as a trainer: how factors start, the penalty, the schedule, and settings that cannot work."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mdkif import BadInput
from mdkif.testing import assert_conforms
from mdkif_trainer_adalora import AdaLoRA, gradient_directions
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM

MODULES = 14
SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
}


def make_model():
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=50, intermediate_size=48, tie_word_embeddings=False, **SIZES)
    return LlamaForCausalLM(config).eval().requires_grad_(False)


@pytest.fixture
def model():
    return make_model()


@pytest.fixture
def ids():
    return torch.randint(0, 50, (4, 9), generator=torch.Generator().manual_seed(1))


def loss_of(model, ids):
    logits = model(input_ids=ids).logits
    return functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())


def layers(model):
    return {n: m for n, m in model.named_modules() if isinstance(m, torch.nn.Linear) and n != "lm_head"}


def factors(adapted, letter):
    modules = adapted.base_model.model.named_modules()
    return {n: getattr(m, f"lora_{letter}")["default"].detach() for n, m in modules if hasattr(m, "lora_E")}


def attach(model, ids, steps=20, **chosen):
    method = AdaLoRA(**{"init_rank": 4, "target_rank": 2, **chosen})
    return method, method.attach(model, steps, lambda: loss_of(model, ids))


def run(method, adapted, ids, steps, first=1):
    optimizer = torch.optim.AdamW([{"lr": 1e-2, **g} for g in method.groups(adapted)], weight_decay=0.0)
    ranks = []
    for step in range(first, steps + 1):
        penalty = method.penalty(adapted)
        loss = loss_of(adapted, ids)
        (loss if penalty is None else loss + penalty).backward()
        optimizer.step()
        method.stepped(adapted, step)
        optimizer.zero_grad()
        ranks.append(method.mean_rank(adapted))
    return ranks


def test_adalora_conforms():
    assert_conforms("mdkif-trainer-adalora")


@pytest.mark.parametrize("start", ["lora", "gradient", "peft"])
def test_adalora_every_linear_layer_but_the_head_gets_factors_and_an_update_of_zero(model, ids, start):
    with torch.no_grad():
        bare = model(input_ids=ids).logits
    _, adapted = attach(model, ids, start=start)
    adapted.eval()
    with torch.no_grad():
        assert torch.equal(adapted(input_ids=ids).logits, bare)
    assert len(factors(adapted, "A")) == MODULES
    assert "lm_head" not in factors(adapted, "A")
    trainable = {n for n, p in adapted.named_parameters() if p.requires_grad}
    assert len(trainable) == 3 * MODULES
    assert all(n.endswith((".lora_A.default", ".lora_B.default", ".lora_E.default")) for n in trainable)


def test_adalora_starting_as_lora_is_a_zero_u_ones_and_an_orthonormal_v(model, ids):
    _, adapted = attach(model, ids, start="lora")
    for letter, expected in (("B", 0.0), ("E", 1.0)):
        assert all((value == expected).all() for value in factors(adapted, letter).values())
    for value in factors(adapted, "A").values():
        torch.testing.assert_close(value @ value.T, torch.eye(4), atol=1e-5, rtol=0)


def test_adalora_starting_from_the_gradient_takes_its_leading_singular_vectors(model, ids):
    bare = make_model().requires_grad_(True)
    loss_of(bare, ids).backward()
    gradients = {name: layer.weight.grad for name, layer in layers(bare).items()}
    _, adapted = attach(model, ids, start="gradient")
    ups, downs = factors(adapted, "B"), factors(adapted, "A")
    assert set(ups) == set(gradients)
    for name, gradient in gradients.items():
        left, values, right = torch.linalg.svd(gradient, full_matrices=False)
        torch.testing.assert_close(ups[name].T @ ups[name], torch.eye(4), atol=1e-4, rtol=0)
        torch.testing.assert_close(downs[name] @ downs[name].T, torch.eye(4), atol=1e-4, rtol=0)
        assert (ups[name].T @ left[:, :1]).norm() > 0.999
        assert (downs[name] @ right[:1].T).norm() > 0.999
        kept = (ups[name].T @ gradient @ downs[name].T).square().sum()
        assert kept > 0.98 * values[:4].square().sum()
    assert all((value == 0).all() for value in factors(adapted, "E").values())


def test_adalora_gradient_leaves_the_base_frozen_and_without_gradients(model, ids):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = gradient_directions(model, lambda: loss_of(model, ids), 4)
    assert set(found) == set(layers(model))
    assert not any(p.requires_grad or p.grad is not None for p in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())

    def fail():
        loss_of(model, ids)
        raise RuntimeError("no memory")

    with pytest.raises(RuntimeError, match="no memory"):
        gradient_directions(model, fail, 4)
    assert not any(p.requires_grad for p in model.parameters())
    loss_of(model, ids.clone())
    assert not any(p._post_accumulate_grad_hooks for p in model.parameters())


@pytest.mark.parametrize("start", ["lora", "gradient", "peft"])
def test_adalora_penalty_is_pefts_own(model, ids, start):
    """PEFT adds it to the loss whenever labels are passed, evaluations included; mdkif only to the training loss."""
    method, adapted = attach(model, ids, start=start, orthogonality=0.7)
    run(method, adapted, ids, 3)
    adapted.eval()
    theirs = adapted(input_ids=ids, labels=ids).loss - loss_of(adapted, ids)
    assert theirs.item() > 1e-4
    assert method.penalty(adapted).item() == pytest.approx(theirs.item(), rel=1e-3, abs=2e-6)
    by_hand = [(v @ v.T - torch.eye(4)).norm() for v in factors(adapted, "A").values()]
    by_hand += [(v.T @ v - torch.eye(4)).norm() for v in factors(adapted, "B").values()]
    assert method.penalty(adapted).item() == pytest.approx(0.7 * torch.stack(by_hand).mean().item(), rel=1e-4)


def test_adalora_without_orthogonality_there_is_no_penalty(model, ids):
    method, adapted = attach(model, ids, orthogonality=0.0)
    assert method.penalty(adapted) is None


def test_adalora_lambda_has_a_learning_rate_of_its_own(model, ids):
    method, adapted = attach(model, ids, learning_rate=2e-3, lambda_rate=5.0)
    vectors, values = method.groups(adapted)
    assert "lr" not in vectors
    assert values["lr"] == pytest.approx(1e-2)
    assert len(vectors["params"]) == 2 * MODULES
    assert [tuple(p.shape) for p in values["params"]] == [(4, 1)] * MODULES


def test_adalora_ranks_fall_from_the_initial_to_the_target_between_the_shares(model, ids):
    method, adapted = attach(model, ids)
    ranks = run(method, adapted, ids, 20)
    assert ranks[:6] == [4.0] * 6
    assert ranks == sorted(ranks, reverse=True)
    assert ranks[6] < 4
    assert ranks[13:] == [2.0] * 7
    own = {name: int((value != 0).sum()) for name, value in factors(adapted, "E").items()}
    assert sum(own.values()) == 2 * MODULES
    assert len(set(own.values())) > 1, "the budget went where it matters"


def test_adalora_scale_stays_that_of_the_initial_rank(model, ids):
    method, adapted = attach(model, ids, alpha=3.0)
    run(method, adapted, ids, 20)
    for module in adapted.modules():
        if hasattr(module, "lora_E"):
            down = module.lora_A["default"] * module.lora_E["default"]
            expected = module.lora_B["default"] @ down * 3.0 / (4 + 1e-5)
            torch.testing.assert_close(module.get_delta_weight("default"), expected, atol=1e-7, rtol=1e-5)


@pytest.mark.parametrize("cut", [10, 16])
def test_adalora_state_and_restore_continue_as_if_never_interrupted(ids, cut):
    """In the middle of the cuts, and after the final choice of triplets."""
    method, whole = attach(make_model(), ids, dropout=0.0)
    run(method, whole, ids, cut)
    parts = {name: p.detach().clone() for name, p in whole.named_parameters() if p.requires_grad}
    state = {name: value.clone() for name, value in method.state(whole).items()}
    again, other = attach(make_model(), ids, dropout=0.0)
    with torch.no_grad():
        for name, p in other.named_parameters():
            if name in parts:
                p.copy_(parts[name])
    again.restore(other, state)
    assert run(method, whole, ids, 20, first=cut + 1) == run(again, other, ids, 20, first=cut + 1)
    for name, value in factors(whole, "E").items():
        assert torch.equal(value, factors(other, "E")[name])


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"init_rank": 4, "target_rank": 4}, "0 < target_rank < init_rank is needed"),
        ({"init_rank": 4, "target_rank": 9}, "target_rank is 9 and init_rank 4"),
        ({"target_rank": 0}, "target_rank is 0"),
        ({"alpha": 0}, "alpha is 0: it must be positive"),
        ({"alpha": -1.0}, "alpha cannot be '-1.0': give a number from 0"),
        ({"warmup_share": 0.6, "final_share": 0.4}, "leave none of the 20 steps for cutting ranks"),
        ({"warmup_share": 0.9, "final_share": 0.9}, "leave none of the 20 steps"),
        ({"final_share": 1.0, "warmup_share": 0.0}, "leave none of the 20 steps"),
        ({"final_share": -0.1}, "final_share cannot be '-0.1': give a number from 0"),
        ({"warmup_share": -0.1}, "warmup_share cannot be '-0.1': give a number from 0"),
    ],
)
def test_adalora_settings_that_cannot_work_are_refused_before_the_model_is_touched(model, ids, chosen, message):
    with pytest.raises(BadInput, match=message):
        attach(model, ids, start="gradient", **chosen)
    assert not any("lora" in name for name, _ in model.named_modules())
    assert not any(p.requires_grad for p in model.parameters())


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 9), st.floats(0, 1), st.floats(0, 1), st.integers(2, 5), st.integers(1, 4))
def test_adalora_whatever_is_not_refused_meets_its_budget(steps, warmup, final, init, target):
    ids = torch.randint(0, 50, (2, 6), generator=torch.Generator().manual_seed(1))
    chosen = {"warmup_share": warmup, "final_share": final, "init_rank": init, "target_rank": target}
    try:
        method, adapted = attach(make_model(), ids, steps, **chosen)
    except BadInput:
        first, last = round(warmup * steps), steps - round(final * steps)
        assert target >= init or last <= max(first, 1)
        return
    assert run(method, adapted, ids, steps)[-1] == target


@pytest.mark.parametrize("steps", [9, 20])
@pytest.mark.parametrize("shares", [(0.3, 0.3), (0.0, 0.0), (0.5, 0.1)])
def test_adalora_importance_and_cuts_are_pefts_own_to_the_last_bit(ids, steps, shares):
    """The same gradients at every step: what PEFT's allocator computes module by module is what all at once gives."""
    chosen = {"steps": steps, "warmup_share": shares[0], "final_share": shares[1], "start": "gradient"}
    (method, ours), (_, theirs) = (attach(make_model(), ids, **chosen) for _ in range(2))
    draw = torch.Generator().manual_seed(5)
    for step in range(1, steps + 1):
        for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            if one.requires_grad:
                one.grad = torch.randn(one.shape, generator=draw)
                other.grad = one.grad.clone()
                with torch.no_grad():
                    one.sub_(1e-2 * one.grad)
                    other.sub_(1e-2 * other.grad)
        method.stepped(ours, step)
        theirs.base_model.update_and_allocate(step)
        for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert torch.equal(one, other)
        for field in ("ipt", "exp_avg_ipt", "exp_avg_unc"):
            found, expected = (getattr(m.base_model.rankallocator, field) for m in (ours, theirs))
            assert found.keys() == expected.keys()
            assert all(torch.equal(found[name], value) for name, value in expected.items())
        assert ours.peft_config["default"].rank_pattern == theirs.peft_config["default"].rank_pattern
