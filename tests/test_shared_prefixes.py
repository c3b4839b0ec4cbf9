"""What all prompts of a batch begin with: found, computed once, and nothing else changed by it."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mdkif import Encoded, Record, TrainSettings, answer_loss, collate
from mdkif.core.inference.likelihood import mean_loss
from mdkif.core.prompts import batching
from mdkif.core.prompts.batching import common_length
from mdkif.core.training.layers import fused
from mdkif.core.training.loop import schedule
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    Gemma3TextConfig,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    Qwen2Config,
)

CPU = torch.device("cpu")
SIZES: dict[str, Any] = {"vocab_size": 60, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
         "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16}  # fmt: skip
CONFIGS = {
    "llama": LlamaConfig(**SIZES),
    "qwen2": Qwen2Config(**SIZES),
    "window": MistralConfig(**SIZES, sliding_window=8),
    "wide window": Gemma3TextConfig(**SIZES, sliding_window=64),
    "gpt2": GPT2Config(vocab_size=60, n_embd=32, n_layer=2, n_head=2, bos_token_id=1, eos_token_id=2),
}
prompts = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=9).map(tuple), min_size=1, max_size=5)


def row(prompt, answer):
    return Encoded(Record(id="r", query="q", answer="a"), tuple(prompt), tuple(answer))


def rows_of(shared, lengths=(6, 11, 9)):
    """Records whose prompts begin with the same `shared` tokens and then differ."""
    draw = torch.Generator().manual_seed(shared)
    start = torch.randint(3, 30, (shared,), generator=draw).tolist()
    rest = [torch.randint(30, 60, (n,), generator=draw).tolist() for n in lengths]
    return [row([*start, 30 + i, *each[:-3]], each[i % 3 - 3 :]) for i, each in enumerate(rest)]


def model_of(name):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return AutoModelForCausalLM.from_config(CONFIGS[name]).float().eval()


@pytest.fixture
def eager(monkeypatch):
    """A prefix is computed by itself however little that saves."""
    monkeypatch.setattr(batching, "WORTH_SHARING", 1)


@given(prompts)
def test_common_length_is_the_longest_that_all_begin_with_and_leaves_each_a_token(found):
    shared = common_length(found)
    assert 0 <= shared < min(map(len, found))
    assert len({prompt[:shared] for prompt in found}) == 1
    assert shared + 1 == min(map(len, found)) or len({prompt[: shared + 1] for prompt in found}) > 1


@given(prompts, st.data())
def test_batch_with_a_prefix_is_the_whole_batch_cut_in_two(found, data):
    rows = [row(prompt, data.draw(st.lists(st.integers(3, 9), min_size=1, max_size=4))) for prompt in found]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batching, "WORTH_SHARING", 1)
        batch, whole = (collate(rows, 0, CPU, share) for share in (True, False))
    shared = 0 if batch.prefix is None else len(batch.prefix)
    assert (shared > 0) is (len(rows) > 1 and common_length(found) > 0)
    assert whole.prefix is None
    for i, each in enumerate(rows):
        own = batch.mask[i].bool()
        assert (
            *([] if shared == 0 else batch.prefix.tolist()),
            *batch.ids[i][own].tolist(),
        ) == each.prompt + each.answer
        assert batch.positions[i][own].tolist() == list(range(shared, len(each)))
    assert torch.equal(batch.targets[batch.targets != -100], whole.targets[whole.targets != -100])
    assert batch.keep == whole.keep


def test_prefix_is_shared_only_where_enough_tokens_are_saved():
    rows = rows_of(20, (6,) * 10)
    saved = batching.WORTH_SHARING // 20 + 1
    assert collate(rows[:saved], 0, CPU, share=True).prefix is None
    assert collate(rows[: saved + 1], 0, CPU, share=True).prefix.tolist() == list(rows[0].prompt[:20])
    assert collate(rows, 0, CPU).prefix is None


@pytest.mark.parametrize("name", CONFIGS)
def test_prefix_changes_no_loss_and_no_gradient(eager, name):
    model, rows = model_of(name), rows_of(13)
    found = []
    for share in (False, True):
        batch = collate(rows, 0, CPU, share)
        model.zero_grad()
        losses = answer_loss(model, batch, "rows")
        losses.sum().backward()
        gradient = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        found.append((losses.detach(), gradient, batch))
    (whole, slope, _), (shared, other, batch) = found
    assert batch.prefix.tolist() == list(rows[0].prompt[:13])
    torch.testing.assert_close(shared, whole, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(other, slope, rtol=1e-4, atol=1e-5 * float(slope.abs().max()))


@pytest.mark.parametrize(("name", "saves"), [("llama", True), ("gpt2", True), ("window", False)])
def test_prefix_is_read_once_where_the_cache_is_every_layers_keys_and_values(eager, name, saves):
    model, read = model_of(name), []
    model.get_decoder().register_forward_hook(
        lambda _, args, given, output: read.append(tuple((args or [given["input_ids"]])[0].shape)), with_kwargs=True
    )
    batch = collate(rows_of(13), 0, CPU, share=True)
    answer_loss(model, batch)
    width = batch.ids.shape[1]
    rows = [shape for shape in read if shape[0] == 3 or shape == (1, 13)]
    assert rows == [(1, 13), (3, width if saves else 13 + width)]


def test_prefix_of_a_model_whose_own_forward_answers_is_put_before_every_row(eager):
    bloom = BloomConfig(vocab_size=60, hidden_size=32, n_layer=2, n_head=2)
    model = AutoModelForCausalLM.from_config(bloom).eval()
    model.get_decoder = lambda: model
    same = rows_of(13, (6, 6, 6))
    equal = [row(each.prompt, (*each.answer, 31, 32, 33)[:3]) for each in same]
    forward = model.forward
    model.forward = lambda position_ids=None, **inputs: forward(**inputs)  # it has none, and the rows are all whole
    whole, shared = (answer_loss(model, collate(equal, 0, CPU, share), "rows") for share in (False, True))
    if len({len(each) for each in equal}) == 1:
        torch.testing.assert_close(shared, whole)


def test_prefix_of_development_records_changes_no_loss(base, monkeypatch):
    rows = rows_of(60, (5, 8, 12, 20))
    shared = mean_loss(base, rows)
    monkeypatch.setattr(batching, "WORTH_SHARING", 10**9)
    assert shared == pytest.approx(mean_loss(base, rows), rel=1e-5)


def test_prefix_with_dropout_gives_the_same_mean_gradient(eager):
    """One mask of the prefix serves all rows: each row's loss is distributed as before, so the mean stays."""
    torch.manual_seed(0)
    rows, draws, means = rows_of(13), 120, []
    model = get_peft_model(model_of("llama"), LoraConfig(r=2, lora_dropout=0.3, target_modules=["v_proj", "down_proj"],
                                                         init_lora_weights=False))  # fmt: skip
    model.train()
    trained = [p for p in model.parameters() if p.requires_grad]
    with fused(model):
        for share in (False, True):
            batch, found = collate(rows, 0, CPU, share), []
            for _ in range(draws):
                gradients = torch.autograd.grad(answer_loss(model.base_model.model, batch), trained)
                found.append(torch.cat([g.flatten() for g in gradients]))
            stacked = torch.stack(found)
            means.append((stacked.mean(0), stacked.var(0) / draws))
    (whole, error), (shared, other) = means
    z = (shared - whole) / (error + other).sqrt().clamp(min=1e-12)
    assert float(z.abs().max()) < 6
    assert float(z.square().mean()) == pytest.approx(1, abs=0.5)
    assert float((error + other).sum().sqrt()) < 0.25 * float(whole.norm())


def test_prefix_of_a_schedule_is_what_its_parts_begin_with():
    rows = rows_of(30, (5, 6, 7, 8, 9, 10))
    [parts] = [next(schedule(rows, TrainSettings(batch_size=6, tokens=10_000)))]
    batch = collate(parts[0], 0, CPU, share=True)
    assert len(batch.prefix) == 30
    assert batch.ids.shape == (6, max(map(len, rows)) - 30)
