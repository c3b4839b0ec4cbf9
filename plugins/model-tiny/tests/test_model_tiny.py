"""The random base model: the same everywhere, loadable as any other, and lossless in what it reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mdkif.testing import assert_conforms
from mdkif_model_tiny import mdkif_models, pull
from transformers import AutoModelForCausalLM, AutoTokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiny")
    (declared,) = mdkif_models()
    assert declared.name == "tiny"
    declared.load()(path)
    return path


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Any:
    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder)


def test_tiny_conforms() -> None:
    assert_conforms("mdkif-model-tiny")


def test_tiny_is_a_small_llama_in_float32_without_tied_embeddings(model: Any) -> None:
    config = model.config
    assert config.model_type == "llama"
    assert (config.hidden_size, config.num_hidden_layers, config.intermediate_size) == (64, 4, 128)
    assert (config.num_attention_heads, config.num_key_value_heads) == (4, 2)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert model.lm_head.weight.data_ptr() != model.model.embed_tokens.weight.data_ptr()
    assert 150_000 < sum(p.numel() for p in model.parameters()) < 300_000


def test_tiny_nothing_in_the_folder_needs_unpickling(folder: Path) -> None:
    assert {path.suffix for path in folder.iterdir()} == {".json", ".jinja", ".safetensors"}


def test_tiny_same_bytes_every_time(folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(987)
    pull(tmp_path)
    for path in folder.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


def test_tiny_random_state_is_left_as_it_was(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    pull(tmp_path)
    assert torch.equal(torch.rand(3), expected)


def test_tiny_vocabulary_fits_the_embedding_and_names_the_special_tokens(model: Any, tokenizer: Any) -> None:
    assert len(tokenizer) == model.get_input_embeddings().num_embeddings == 600
    assert tokenizer.eos_token == "<|im_end|>"
    assert tokenizer.eos_token_id == model.config.eos_token_id
    assert tokenizer.convert_tokens_to_ids("<|im_start|>") == tokenizer.bos_token_id


@settings(deadline=None, max_examples=50)
@given(text=st.text(max_size=40))
def test_tiny_any_text_is_read_and_written_without_loss(tokenizer: Any, text: str) -> None:
    plain = text.replace("<|", "")  # the marks of turns are tokens, not text
    assert tokenizer.decode(tokenizer(plain).input_ids, clean_up_tokenization_spaces=False) == plain


def test_tiny_frequent_medical_words_are_one_token(tokenizer: Any) -> None:
    assert len(tokenizer(" patient").input_ids) == 1
    assert len(tokenizer("zzzz").input_ids) == 4


def test_tiny_chat_marks_every_turn_and_ends_where_the_answer_begins(tokenizer: Any) -> None:
    messages = [{"role": "system", "content": "You are a doctor."}, {"role": "user", "content": "Is it benign?"}]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert text == (
        "<|im_start|>system\nYou are a doctor.<|im_end|>\n<|im_start|>user\nIs it benign?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    ids = tokenizer(text, add_special_tokens=False).input_ids
    assert ids.count(tokenizer.bos_token_id) == 3
    assert ids.count(tokenizer.eos_token_id) == 2


def test_tiny_generates(model: Any, tokenizer: Any) -> None:
    ids = tokenizer("The patient was", return_tensors="pt").input_ids
    out = model.generate(ids, max_new_tokens=4, min_new_tokens=4, do_sample=False, pad_token_id=2)
    assert out.shape == (1, ids.shape[1] + 4)


def test_tiny_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pull(tmp_path)
    assert capfd.readouterr() == ("", "")
