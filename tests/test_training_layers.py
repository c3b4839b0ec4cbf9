"""Stage I's layers beside PEFT's: the same outputs, gradients, curves, ranks and files; and dropout in distribution."""

import copy
import math
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from mdkif import Progress
from mdkif.core.adapters.peft_files import read_adapter
from mdkif.core.contract.declarations import Trainer
from mdkif.core.training import loop
from mdkif.core.training.layers import Fused, Masks, fused, kept
from mdkif.core.training.settings import TrainSettings
from peft import AdaLoraConfig, LoraConfig, get_peft_model
from torch import nn
from torch.nn import functional
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

pytestmark = pytest.mark.filterwarnings("ignore")
LLAMA = LlamaConfig(vocab_size=50, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
                    num_key_value_heads=1, attention_bias=True)  # fmt: skip
ADALORA: dict[str, Any] = {"init_r": 4, "target_r": 2, "tinit": 2, "tfinal": 2, "total_step": 9, "lora_alpha": 8}
PLAIN = {
    "lora": LoraConfig(r=3, lora_alpha=7, target_modules="all-linear"),
    "rslora": LoraConfig(r=3, lora_alpha=7, use_rslora=True, target_modules="all-linear"),
    "ranks": LoraConfig(r=3, rank_pattern={"q_proj": 5}, alpha_pattern={"k_proj": 2}, target_modules="all-linear"),
    "some": LoraConfig(r=2, target_modules=["v_proj", "down_proj"]),
    "adalora": AdaLoraConfig(**ADALORA, target_modules="all-linear"),
}
OTHER = {
    "dora": LoraConfig(r=3, use_dora=True, target_modules="all-linear"),
    "bias": LoraConfig(r=3, lora_bias=True, target_modules=["q_proj"]),
    "embedding": LoraConfig(r=3, target_modules=["embed_tokens"]),
}
IDS = torch.randint(0, 50, (4, 9), generator=torch.Generator().manual_seed(1))


def adapted(config, dtype=torch.float32, model=None):
    """PEFT's model with every factor random, so that every gradient counts."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        base = LlamaForCausalLM(LLAMA) if model is None else model
        made = get_peft_model(base.to(dtype), copy.deepcopy(config))
        with torch.no_grad():
            for name, parameter in made.named_parameters():
                if "lora_" in name and parameter.requires_grad:
                    parameter.copy_(torch.randn_like(parameter) * 0.2)
    return made


def logits_and_gradients(model, ids=IDS):
    model.zero_grad()
    logits = model(input_ids=ids, use_cache=False).logits
    functional.cross_entropy(logits[:, :-1].flatten(0, 1).float(), ids[:, 1:].flatten()).backward()
    return logits.detach(), {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def close(found, expected, **tolerance):
    torch.testing.assert_close(found[0], expected[0], **tolerance)
    assert found[1].keys() == expected[1].keys()
    for name, gradient in expected[1].items():
        torch.testing.assert_close(found[1][name], gradient, **tolerance)


@pytest.fixture
def applied(monkeypatch):
    """How often the fused product was used."""
    counts = []
    right = Fused.apply
    monkeypatch.setattr(Fused, "apply", lambda *arguments: counts.append(1) or right(*arguments))
    return counts


@pytest.mark.parametrize("kind", PLAIN)
@pytest.mark.parametrize("training", [True, False])
def test_layers_fused_give_pefts_logits_and_gradients(applied, kind, training):
    model = adapted(PLAIN[kind]).train(training)
    expected = logits_and_gradients(model)
    with fused(model):
        found = logits_and_gradients(model)
    close(found, expected, rtol=1e-4, atol=5e-5)
    assert len(applied) == (4 if kind == "some" else 14)


def test_layers_in_bfloat16_gradients_are_as_near_to_exact_ones_as_pefts():
    model = adapted(PLAIN["adalora"], torch.bfloat16)
    exact = logits_and_gradients(copy.deepcopy(model).double())[1]
    assert {p.dtype for p in model.parameters() if p.requires_grad} == {torch.float32}

    def error(gradients):
        off = sum((gradients[n].double() - g).square().sum() for n, g in exact.items())
        return math.sqrt(off / sum(g.square().sum() for g in exact.values()))

    peft = error(logits_and_gradients(model)[1])
    with fused(model):
        ours = logits_and_gradients(model)[1]
    assert {g.dtype for g in ours.values()} == {torch.float32}
    assert error(ours) < 1.5 * peft < 0.1


@pytest.mark.parametrize("kind", OTHER)
def test_layers_of_other_kinds_compute_as_peft_has_them(applied, kind):
    model = adapted(OTHER[kind])
    expected = logits_and_gradients(model)
    with fused(model):
        close(logits_and_gradients(model), expected, rtol=0, atol=0)
    assert not applied


def test_layers_that_are_no_linear_modules_are_left_alone(applied):
    gpt2 = GPT2LMHeadModel(GPT2Config(vocab_size=50, n_embd=32, n_layer=1, n_head=2))
    model = adapted(LoraConfig(r=2, target_modules=["c_attn"], fan_in_fan_out=True), model=gpt2).eval()
    expected = logits_and_gradients(model)
    with fused(model):
        close(logits_and_gradients(model), expected, rtol=0, atol=0)
    assert not applied


def test_layers_leave_disabled_merged_several_or_trained_weight_adapters_to_peft(applied):
    model = adapted(PLAIN["lora"]).eval()
    model.add_adapter("second", LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False))

    def logits():
        with torch.no_grad():
            return model(input_ids=IDS).logits

    def both():
        expected = logits()
        with fused(model):
            return torch.equal(logits(), expected)

    model.base_model.set_adapter(["default", "second"])
    assert both()
    model.base_model.set_adapter("default")
    with model.disable_adapter():
        assert both()
    model.merge_adapter()
    assert both()
    model.unmerge_adapter()
    model.requires_grad_(True)
    assert both()
    assert not applied
    model.requires_grad_(False)
    both()
    assert applied


@pytest.mark.parametrize("fails", [False, True])
def test_layers_forwards_are_pefts_again_afterwards(fails):
    model = adapted(PLAIN["lora"])
    with pytest.raises(RuntimeError) if fails else nullcontext(), fused(model):
        assert sum("forward" in vars(m) for m in model.modules()) == 14
        if fails:
            raise RuntimeError
    assert not any("forward" in vars(m) for m in model.modules())


# Dropout


@pytest.mark.parametrize("rate", [0.0001, 0.1, 0.5, 0.9])
def test_layers_mask_drops_its_share_independently(rate):
    torch.manual_seed(0)
    first, second = (kept(torch.Size((401, 503)), rate, torch.device("cpu")) for _ in range(2))
    assert first.dtype == torch.uint8
    size, spread = first.numel(), math.sqrt(rate * (1 - rate) / first.numel())
    for mask in (first, second):
        assert set(mask.unique().tolist()) <= {0, 1}
        assert abs((mask == 0).sum().item() / size - rate) < 5 * spread + 2**-17
    pairs = {"two masks": (first, second), "columns": (first[:, :-1], first[:, 1:]), "rows": (first[:-1], first[1:]),
             "a draw": (first.view(-1)[:-3], first.view(-1)[3:])}  # fmt: skip
    for what, (one, other) in pairs.items():
        both = ((one == 0) & (other == 0)).sum().item() / one.numel()
        assert abs(both - rate**2) < 6 * rate * math.sqrt(1 / one.numel()) + 2**-15, what
    per_column = (first == 0).sum(0) / 401
    assert (per_column - rate).abs().max() < 6 * math.sqrt(rate * (1 - rate) / 401) + 0.01


def test_layers_one_mask_serves_every_layer_of_one_input_and_no_other():
    masks, inputs = Masks(), torch.ones(40, 30)
    masked, mask = masks.of(inputs, 0.3)
    assert torch.equal(masked, mask.float())
    assert masks.of(inputs, 0.3)[1] is mask
    assert masks.of(inputs, 0.2)[1] is not mask
    assert masks.of(inputs.clone(), 0.3)[1] is not mask
    plain, none = masks.of(inputs, 0.0)
    assert torch.equal(plain, inputs)
    assert none is None


def test_layers_block_draws_four_masks(monkeypatch):
    """One for q, k and v, one for o, one for gate and up, one for down."""
    drawn = []
    monkeypatch.setattr(
        "mdkif.core.training.layers.kept", lambda shape, *rest: drawn.append(shape) or kept(shape, *rest)
    )
    model = adapted(LoraConfig(r=3, lora_dropout=0.1, target_modules="all-linear")).train()
    with fused(model):
        model(input_ids=IDS)
        assert [shape[-1] for shape in drawn] == 2 * [32, 32, 32, 48]
        model.eval()
        model(input_ids=IDS)
    assert len(drawn) == 8


def test_layers_output_with_dropout_is_the_undropped_one_in_the_mean():
    torch.manual_seed(0)
    layer = nn.Sequential(nn.Linear(24, 5))
    model = get_peft_model(layer, LoraConfig(r=3, lora_dropout=0.4, target_modules=["0"], init_lora_weights=False))
    inputs = torch.randn(2, 24)
    model.train()
    with fused(model), torch.no_grad():
        expected = model.eval()(inputs)
        draws = torch.stack([model.train()(inputs.clone()) for _ in range(4000)])
    peft = torch.stack([model(inputs.clone()) for _ in range(4000)])
    torch.testing.assert_close(draws.mean(0), expected, atol=5 * float(draws.std(0).max()) / 4000**0.5, rtol=0)
    torch.testing.assert_close(draws.std(0), peft.std(0), rtol=0.1, atol=0.01)


@pytest.mark.parametrize("rate", [0.0, 0.4])
@pytest.mark.parametrize("bias", [True, False])
def test_layers_gradients_of_the_fused_product_are_those_of_finite_differences(rate, bias):
    draw = torch.Generator().manual_seed(2)
    inputs, down, up = (torch.randn(*shape, generator=draw, dtype=torch.float64, requires_grad=True)
                        for shape in ((2, 5, 6), (3, 6), (4, 3)))  # fmt: skip
    weight, offset = torch.randn(4, 6, generator=draw).double(), torch.randn(4, generator=draw).double()
    mask = kept(inputs.shape, rate, inputs.device) if rate else None

    def product(inputs, down, up):
        masked = inputs.detach() if mask is None else inputs.detach() * mask
        return Fused.apply(inputs, masked, mask, weight, offset if bias else None, down, up)

    assert torch.autograd.gradcheck(product, (inputs, down, up))
    dropped = inputs if mask is None else inputs * mask
    expected = functional.linear(inputs, weight, offset if bias else None) + dropped @ down.T @ up.T
    torch.testing.assert_close(product(inputs, down, up), expected)


# The whole of stage I


@pytest.mark.parametrize("trainer", ["lora", "adalora"])
def test_layers_training_by_fused_layers_gives_pefts_curve_ranks_and_adapter(
    plugins, base, tmp_path, monkeypatch, trainer
):
    def trained(folder):
        method = plugins.get(Trainer, trainer).load()(dropout=0.0, learning_rate=5e-3)
        done = loop.train(base, examples, examples, method, settings, tmp_path, Progress())
        done.model.save_pretrained(str(folder))
        done.model.unload()
        return done, read_adapter(folder)

    draw = torch.Generator().manual_seed(3)
    ids = [torch.randint(3, 600, (n,), generator=draw).tolist() for n in (9, 14, 20, 31, 12, 25)]
    examples = [loop.Encoded(None, tuple(i[:-3]), tuple(i[-3:])) for i in ids]
    settings = TrainSettings(steps=12, batch_size=3)
    ours, our_updates = trained(tmp_path / "ours")
    monkeypatch.setattr(loop, "fused", nullcontext)
    peft, updates = trained(tmp_path / "peft")
    assert ours.losses == pytest.approx(peft.losses, rel=1e-4)
    assert ours.dev_after == pytest.approx(peft.dev_after, rel=1e-4)
    assert ours.dev_after < ours.dev_before
    assert our_updates.keys() == updates.keys()
    for path, update in updates.items():
        assert our_updates[path].rank == update.rank
        torch.testing.assert_close(our_updates[path].up @ our_updates[path].down, update.up @ update.down,
                                   rtol=1e-2, atol=1e-4)  # fmt: skip
