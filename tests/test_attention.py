"""Attention for a backward pass: another kernel where it is quicker, the same gradients, and a model left as it was."""

import pytest
import torch
from mdkif import Encoded, Record, answer_loss
from mdkif.core.models import attention
from mdkif.core.models.attention import differentiable
from mdkif.core.prompts.batching import collate
from transformers import LlamaConfig, LlamaForCausalLM

SIZES = {"vocab_size": 60, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
         "num_attention_heads": 2, "num_key_value_heads": 1}  # fmt: skip


def model_of(dtype):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return LlamaForCausalLM(LlamaConfig(**SIZES)).to(dtype)


def gradients(model):
    rows = [Encoded(Record(id="r", query="q", answer="a"), tuple(range(3, n)), (7, 8)) for n in (9, 14, 20)]
    answer_loss(model, collate(rows, 0, torch.device("cpu"))).backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return found


def within(model, length):
    with differentiable(model, length):
        return model.config._attn_implementation


def test_short_rows_in_half_precision_take_plain_products_and_all_else_the_fused_kernel():
    for dtype, short in ((torch.bfloat16, "eager"), (torch.float16, "eager"), (torch.float32, "sdpa")):
        model = model_of(dtype)
        assert within(model, attention.LONGEST) == short
        assert within(model, attention.LONGEST + 1) == "sdpa"
        assert model.config._attn_implementation == "sdpa"


def test_a_model_that_recomputes_in_its_backward_pass_keeps_its_kernel():
    model = model_of(torch.bfloat16)
    model.activation_checkpointing_enable()
    assert within(model, 8) == "sdpa"


def test_a_model_with_a_kernel_of_its_own_keeps_it():
    model = model_of(torch.bfloat16)
    model.set_attn_implementation("eager")
    assert within(model, 1000) == "eager"
    assert model.config._attn_implementation == "eager"


def test_gradients_of_either_way_differ_by_rounding_alone(monkeypatch):
    exact = gradients(model_of(torch.bfloat16).double())
    plain = gradients(model_of(torch.bfloat16))
    monkeypatch.setattr(attention, "LONGEST", 0)
    fused = gradients(model_of(torch.bfloat16))

    def error(found):
        off = sum((found[n].double() - g).square().sum() for n, g in exact.items())
        return (off / sum(g.square().sum() for g in exact.values())).sqrt().item()

    assert any(not torch.equal(plain[name], fused[name]) for name in plain)
    assert error(plain) < 1.5 * error(fused) < 0.05


@pytest.mark.parametrize("length", [8, 1000])
def test_a_failing_pass_leaves_the_kernel_as_it_was(length):
    model = model_of(torch.bfloat16)
    with pytest.raises(RuntimeError), differentiable(model, length):
        raise RuntimeError
    assert model.config._attn_implementation == "sdpa"
