"""Logits of answers in every family of models: the same as the model's own, and not one more than is needed."""

from types import SimpleNamespace

import pytest
import torch
import transformers as hf
from mdkif import Encoded, Record, option_scores
from mdkif.core.inference import projection
from mdkif.core.inference.likelihood import answer_logits, answer_loss, logits_loss
from mdkif.core.prompts.batching import collate
from torch.nn import functional

CPU, VOCABULARY = torch.device("cpu"), 60
SIZES = {"vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
         "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16, "pad_token_id": 0,
         "bos_token_id": 1, "eos_token_id": 2}  # fmt: skip
GPT2 = {"vocab_size": VOCABULARY, "n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64}
OPT = {"vocab_size": VOCABULARY, "hidden_size": 32, "ffn_dim": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
       "word_embed_proj_dim": 16, "max_position_embeddings": 64, "pad_token_id": 0}  # fmt: skip
FAMILIES = {
    "llama": (hf.LlamaConfig, SIZES),
    "mistral": (hf.MistralConfig, SIZES | {"sliding_window": 8}),
    "qwen2": (hf.Qwen2Config, SIZES),
    "qwen3": (hf.Qwen3Config, SIZES),
    "gemma": (hf.GemmaConfig, SIZES),
    "gemma2": (hf.Gemma2Config, SIZES | {"final_logit_softcapping": 0.5}),
    "gemma3": (hf.Gemma3TextConfig, SIZES | {"final_logit_softcapping": 0.5}),
    "granite": (hf.GraniteConfig, SIZES | {"logits_scaling": 0.1}),
    "cohere": (hf.CohereConfig, SIZES | {"logit_scale": 7.0}),
    "mixtral": (hf.MixtralConfig, SIZES | {"num_local_experts": 2, "output_router_logits": True}),
    "gpt2": (hf.GPT2Config, GPT2),
    "opt": (hf.OPTConfig, OPT),
}
EACH_FAMILY = pytest.mark.parametrize("family", FAMILIES)


def model_of(family):
    kind, sizes = FAMILIES[family]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return hf.AutoModelForCausalLM.from_config(kind(**sizes)).eval().requires_grad_(False)


def rows(*shapes):
    draw = torch.Generator().manual_seed(4)
    ids = [torch.randint(3, VOCABULARY, (sum(shape),), generator=draw).tolist() for shape in shapes]
    record = Record(id="r", query="q", answer="a")
    return [Encoded(record, tuple(i[:p]), tuple(i[p:])) for i, (p, _) in zip(ids, shapes, strict=True)]


EXAMPLES = rows((3, 1), (12, 5), (7, 7), (1, 2))


def own_logits(model, example):
    """What the model's own forward predicts for an unpadded row's answer."""
    ids = torch.tensor([example.prompt + example.answer])
    return model(input_ids=ids, use_cache=False).logits[0, len(example.prompt) - 1 : -1].float()


def own_losses(model, examples=EXAMPLES):
    each = [functional.cross_entropy(own_logits(model, e), torch.tensor(e.answer), reduction="sum") for e in examples]
    return torch.stack(each)


@pytest.fixture
def seen(monkeypatch):
    """A function that makes a model note how many positions its output layer gets at each call."""

    def watch(model):
        counts = []
        model.get_output_embeddings().register_forward_hook(
            lambda _, inputs, __: counts.append(inputs[0].shape[:-1].numel())
        )
        return counts

    return watch


@EACH_FAMILY
@pytest.mark.parametrize("held", [1, 4 * VOCABULARY, 1 << 23])
def test_answer_loss_is_that_of_the_models_own_logits_in_chunks_of_any_size(monkeypatch, family, held):
    monkeypatch.setattr(projection, "ELEMENTS", held)
    model, batch = model_of(family), collate(EXAMPLES, 0, CPU)
    expected = own_losses(model)
    torch.testing.assert_close(answer_loss(model, batch, "rows"), expected, rtol=1e-4, atol=1e-5)
    mean = expected.sum() / sum(len(e.answer) for e in EXAMPLES)
    torch.testing.assert_close(answer_loss(model, batch), mean, rtol=1e-4, atol=1e-5)


@EACH_FAMILY
@pytest.mark.parametrize("held", [4 * VOCABULARY, 1 << 23])
def test_gradients_reach_decoder_and_output_layer_as_through_the_models_own_forward(monkeypatch, family, held):
    monkeypatch.setattr(projection, "ELEMENTS", held)
    model = model_of(family).requires_grad_(True)
    weights = [model.get_output_embeddings().weight, *model.get_decoder().layers[0].parameters()] if hasattr(
        model.get_decoder(), "layers") else [model.get_output_embeddings().weight]  # fmt: skip
    scale = torch.tensor([1.0, -2.0, 0.5, 3.0])
    found = torch.autograd.grad((answer_loss(model, collate(EXAMPLES, 0, CPU), "rows") * scale).sum(), weights)
    expected = torch.autograd.grad((own_losses(model) * scale).sum(), weights)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


@EACH_FAMILY
def test_answer_logits_are_the_models_own_and_zero_where_no_answer_is(family):
    model, batch = model_of(family), collate(EXAMPLES, 0, CPU)
    logits = answer_logits(model, batch)
    assert logits.shape == (4, batch.keep, VOCABULARY)
    assert logits.dtype == torch.float32
    for own, example in zip(logits, EXAMPLES, strict=True):
        torch.testing.assert_close(own[-len(example.answer) :], own_logits(model, example), rtol=1e-4, atol=1e-5)
        assert not own[: -len(example.answer)].any()
    assert torch.equal(logits_loss(logits, batch, "rows"), answer_loss(model, batch, "rows"))
    assert torch.equal(logits_loss(logits, batch), answer_loss(model, batch))


@EACH_FAMILY
def test_option_scores_are_sums_of_the_models_own_log_probabilities(monkeypatch, family):
    monkeypatch.setattr(projection, "ELEMENTS", 2 * VOCABULARY)
    model = model_of(family)
    options = ((5,), (5, 6), (5, 6, 7), (8, 6), (9,))
    base = SimpleNamespace(model=model, pad=0)
    asked = [Encoded(e.record, e.prompt, (), options) for e in EXAMPLES]
    for found, example in zip(option_scores(base, asked), EXAMPLES, strict=True):
        whole = [Encoded(example.record, example.prompt, option) for option in options]
        assert found == pytest.approx((-own_losses(model, whole)).tolist(), rel=1e-4)


@EACH_FAMILY
def test_output_layer_gets_no_position_but_those_of_answers(monkeypatch, seen, family):
    model, batch = model_of(family), collate(EXAMPLES, 0, CPU)
    counts = seen(model)
    answer_loss(model, batch)
    assert counts == [15]
    counts.clear()
    monkeypatch.setattr(projection, "ELEMENTS", 4 * VOCABULARY)
    answer_loss(model, batch)
    assert counts == [4, 4, 4, 3]


def test_labels_of_one_token_need_one_position_for_each_prompt(seen):
    model = model_of("llama")
    counts = seen(model)
    option_scores(
        SimpleNamespace(model=model, pad=0), [Encoded(e.record, e.prompt, (), ((5,), (6,))) for e in EXAMPLES]
    )
    assert counts == [4]


def test_memory_of_a_backward_does_not_grow_with_the_answers(monkeypatch):
    """The logits alive at once, counted by what autograd is asked to keep."""
    monkeypatch.setattr(projection, "ELEMENTS", 4 * VOCABULARY)
    model, batch = model_of("llama").requires_grad_(True), collate(rows((4, 40), (4, 40)), 0, CPU)
    kept = []

    def pack(tensor):
        kept.append(tensor.numel() if tensor.shape[-1:] == (VOCABULARY,) else 0)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = answer_loss(model, batch)
    assert max(kept) == 0
    loss.backward()


def test_model_whose_forward_asks_no_decoder_answers_by_its_own(seen):
    model = model_of("llama")
    body = model.model
    model.forward = lambda **inputs: SimpleNamespace(
        logits=3 * model.lm_head(body.norm(body.embed_tokens(inputs["input_ids"])))
    )
    torch.testing.assert_close(answer_loss(model, collate(EXAMPLES, 0, CPU), "rows"), own_losses(model))


def test_failing_measurement_leaves_the_model_as_it_was():
    model, batch = model_of("llama"), collate(EXAMPLES, 0, CPU)
    expected = own_losses(model)

    def fail(*_):
        raise RuntimeError("no memory")

    inputs = {"input_ids": batch.ids, "attention_mask": batch.mask}
    with pytest.raises(RuntimeError, match="no memory"):
        projection.measured(model, inputs, torch.tensor([0]), torch.tensor([3]), fail)
    assert "forward" not in vars(model.model)
    assert torch.equal(own_losses(model), expected)
