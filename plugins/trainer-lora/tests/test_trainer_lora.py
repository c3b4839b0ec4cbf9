"""Plain LoRA as a trainer."""

from typing import Any

import pytest
import torch
from mdkif import BadInput
from mdkif.testing import assert_conforms
from mdkif_trainer_lora import LoRA
from peft.tuners.lora import Linear
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM

SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
}


@pytest.fixture
def model():
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=50, intermediate_size=48, tie_word_embeddings=False, **SIZES)
    return LlamaForCausalLM(config).eval().requires_grad_(False)


@pytest.fixture
def ids():
    return torch.randint(0, 50, (4, 9), generator=torch.Generator().manual_seed(1))


def never():
    raise AssertionError("LoRA needs no gradient to start")


def test_lora_conforms():
    assert_conforms("mdkif-trainer-lora")


def test_lora_every_linear_layer_but_the_head_gets_an_update_of_zero(model, ids):
    with torch.no_grad():
        bare = model(input_ids=ids).logits
    adapted = LoRA(rank=3).attach(model, 10, never).eval()
    with torch.no_grad():
        assert torch.equal(adapted(input_ids=ids).logits, bare)
    trainable = {n: p for n, p in adapted.named_parameters() if p.requires_grad}
    assert len(trainable) == 2 * 14
    assert not [n for n in trainable if "lm_head" in n]
    assert {p.shape[0] if "lora_A" in n else p.shape[1] for n, p in trainable.items()} == {3}
    assert set(adapted.peft_config) == {"default"}


def test_lora_update_is_b_a_alpha_over_rank(model):
    adapted = LoRA(rank=3, alpha=7.5).attach(model, 10, never)
    layers = {name: module for name, module in adapted.named_modules() if isinstance(module, Linear)}
    assert len(layers) == 14
    for name, layer in layers.items():
        up, down = (adapted.get_parameter(f"{name}.lora_{letter}.default.weight") for letter in "BA")
        torch.nn.init.normal_(up)
        torch.testing.assert_close(layer.get_delta_weight("default"), up @ down * 2.5)


def test_lora_loss_falls(model, ids):
    method = LoRA(dropout=0.0)
    adapted = method.attach(model, 10, never)
    optimizer = torch.optim.AdamW([{"lr": 2e-2, **group} for group in method.groups(adapted)])
    losses = []
    for step in range(1, 11):
        logits = adapted(input_ids=ids).logits
        loss = functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
        assert method.penalty(adapted) is None
        loss.backward()
        optimizer.step()
        method.stepped(adapted, step)
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.1
    assert method.mean_rank(adapted) is None
    assert method.state(adapted) == {}


@pytest.mark.parametrize(("rank", "message"), [(0, "LoRA needs a rank of at least 1"), (-2, "a number from 0")])
def test_lora_rank_below_one_is_refused(model, rank, message):
    with pytest.raises(BadInput, match=rf"\brank .*{rank}\b.*: .*{message}"):
        LoRA(rank=rank).attach(model, 10, never)
    assert not any("lora" in name for name, _ in model.named_modules())
