"""A GGUF export, read by transformers and by the package gguf alone, is the merged model and its tokenizer."""

import copy
import json
import shutil
import sys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from gguf import GGUFReader, dequantize
from mdkif import BadInput, MdkifError, Progress
from mdkif.cli import main
from mdkif.core.compositions import bank_of, compose, new_composition, running
from mdkif.core.exporting import export
from mdkif.core.gguf_export import TYPES, check_gguf, write_gguf
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

TEXT = "The patient's INR was 2.5 in 2019 <|im_start|>user\nIs  12.6 mg safe?\n\n é ü 中 🙂\tx<|im_end|>"
LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@pytest.fixture
def composed(skilled):
    compose(skilled, "all", {"qa": 0.7, "nli": -0.3, "er": 0.6})
    bank = bank_of(skilled, ["qa", "er"], "layer")
    new_composition(skilled, "layered", bank, torch.tensor([[0.9, -0.2], [0.0, 0.7]]), {})
    return skilled


@pytest.fixture
def other(base):
    """A function that makes another base model: a Llama with these settings, or the given model."""

    def other(model=None, tokenizer=None, **settings):
        if model is None:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(3)
                model = LlamaForCausalLM(LlamaConfig.from_pretrained(base.path, **settings)).eval()
        return replace(base, model=model, tokenizer=tokenizer or base.tokenizer, name="other")

    return other


@torch.no_grad()
def logits(model, tokens):
    return model.eval()(input_ids=tokens).logits


def loaded(folder):
    return AutoModelForCausalLM.from_pretrained(folder, gguf_file="model.gguf", dtype=torch.float32)


def written(folder, base, quantize="f16"):
    check_gguf(base, quantize)
    folder.mkdir(exist_ok=True)
    return write_gguf(folder / "model.gguf", base, "name", quantize, Progress())


def fields(folder):
    return {name: field.contents() for name, field in GGUFReader(folder / "model.gguf").fields.items()}


def tensors(folder):
    """The tensors as float32, and the types they are stored in."""
    found = GGUFReader(folder / "model.gguf").tensors
    values = {t.name: dequantize(t.data, t.tensor_type).reshape(*reversed(t.shape.tolist())) for t in found}
    return values, {t.name: t.tensor_type.name.lower() for t in found}


# The model


@pytest.mark.parametrize("target", ["all", "layered", "skill:er"])
def test_transformers_loads_it_to_the_logits_of_the_merged_export(composed, fresh, tmp_path, tokens, target):
    export(composed, target, tmp_path / "merged", "merged")
    facts = export(composed, target, tmp_path / "gguf", "gguf")
    merged = logits(AutoModelForCausalLM.from_pretrained(tmp_path / "merged"), tokens)
    found = logits(loaded(tmp_path / "gguf"), tokens)
    torch.testing.assert_close(found, merged, atol=3e-3, rtol=0)
    assert (merged - logits(fresh(), tokens)).abs().max() > 0.1, "the blend is much larger than the tolerance"
    assert facts["quantization_error"] < 2**-11
    assert facts["cast_error"] == 0


def test_in_float32_nothing_is_lost(composed, tmp_path, tokens):
    facts = export(composed, "all", tmp_path / "out", "gguf", "f32")
    with running(composed, "all"):
        expected = logits(composed.base.model, tokens)
    torch.testing.assert_close(logits(loaded(tmp_path / "out"), tokens), expected, atol=1e-5, rtol=0)
    assert facts["quantization_error"] == 0
    assert set(facts["types"]) == {"f32"}


def test_a_bfloat16_blend_is_stored_in_f16_without_another_loss(composed, fresh, tmp_path, tokens):
    composed.__dict__["base"] = replace(composed.base, model=fresh().to(torch.bfloat16))
    export(composed, "all", tmp_path / "merged", "merged")
    facts = export(composed, "all", tmp_path / "gguf", "gguf")
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype=torch.float32)
    torch.testing.assert_close(logits(loaded(tmp_path / "gguf"), tokens), logits(merged, tokens), atol=1e-4, rtol=0)
    assert facts["cast_error"] > 1e-4
    assert facts["quantization_error"] < 1e-6


def test_coarser_types_are_smaller_and_lose_more(composed, tmp_path, tokens):
    with running(composed, "all"):
        expected = logits(composed.base.model, tokens)
    sizes, errors, effects = [], [], []
    for quantize in ("f32", "f16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0"):
        facts = export(composed, "all", tmp_path / quantize, "gguf", quantize)
        sizes.append((tmp_path / quantize / facts["file"]).stat().st_size)
        errors.append(facts["quantization_error"])
        effects.append((logits(loaded(tmp_path / quantize), tokens) - expected).abs().mean().item())
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == len(sizes)
    assert errors == sorted(errors)
    assert effects[0] < effects[1] < effects[2] < min(effects[3:])
    assert max(effects) < 0.5 * expected.abs().mean()


def test_the_error_it_tells_is_that_of_the_matrices_in_the_file(composed, tmp_path):
    export(composed, "skill:qa", tmp_path / "exact", "gguf", "f32")
    facts = export(composed, "skill:qa", tmp_path / "out", "gguf", "q4_0")
    exact, _ = tensors(tmp_path / "exact")
    stored, _ = tensors(tmp_path / "out")
    matrices = [name for name, value in exact.items() if value.ndim == 2]
    error = sum(np.square(stored[name] - exact[name]).sum() for name in matrices)
    size = sum(np.square(exact[name]).sum() for name in matrices)
    assert facts["quantization_error"] == pytest.approx(np.sqrt(error / size), rel=1e-4)


def test_vectors_stay_float32_and_the_vocabularys_matrices_stay_finer(composed, tmp_path):
    facts = export(composed, "all", tmp_path / "out", "gguf", "q4_0")
    _, types = tensors(tmp_path / "out")
    assert {name for name, kind in types.items() if kind == "q8_0"} == {"token_embd.weight", "output.weight"}
    assert {name for name, kind in types.items() if kind == "f32"} == {
        *(f"blk.{i}.{norm}_norm.weight" for i in range(2) for norm in ("attn", "ffn")), "output_norm.weight"
    }  # fmt: skip
    assert facts["types"] == {"q8_0": 2, "q4_0": 14, "f32": 5}


def test_rows_that_are_not_whole_blocks_stay_f16(other, tmp_path, tokens):
    narrow = other(hidden_size=48, intermediate_size=96, head_dim=12)
    facts = written(tmp_path, narrow, "q8_0")
    values, types = tensors(tmp_path)
    assert {kind for name, kind in types.items() if values[name].shape[-1] == 48 and values[name].ndim == 2} == {"f16"}
    assert types["blk.0.ffn_down.weight"] == "q8_0"
    assert facts["types"]["f16"] == 14
    torch.testing.assert_close(logits(loaded(tmp_path), tokens), logits(narrow.model, tokens), atol=0.05, rtol=0)


def test_the_rows_of_q_and_k_are_interleaved_head_by_head_as_llama_cpp_has_them(composed, base, tmp_path):
    """Row j of the first half of a head comes to 2j, row j of the second to 2j + 1; there are fewer heads of k."""
    export(composed, "skill:nli", tmp_path / "out", "gguf", "f32")
    values, _ = tensors(tmp_path / "out")
    with running(composed, "skill:nli"):
        attention = {
            name: module.weight.detach().numpy().copy()
            for name, module in base.model.model.layers[1].self_attn.named_children()
        }
    size = base.model.config.head_dim
    for name, heads in (("q", 4), ("k", 2)):
        ours, theirs = attention[f"{name}_proj"], values[f"blk.1.attn_{name}.weight"]
        for head in range(heads):
            for j in range(size // 2):
                assert np.array_equal(theirs[head * size + 2 * j], ours[head * size + j])
                assert np.array_equal(theirs[head * size + 2 * j + 1], ours[head * size + size // 2 + j])
    assert np.array_equal(values["blk.1.attn_v.weight"], attention["v_proj"])


def test_tied_embeddings_are_written_once_and_come_back_tied(other, tmp_path, tokens):
    tied = other(tie_word_embeddings=True)
    written(tmp_path, tied)
    values, _ = tensors(tmp_path)
    assert "output.weight" not in values
    found = loaded(tmp_path)
    assert found.config.tie_word_embeddings
    assert found.lm_head.weight is found.model.embed_tokens.weight
    torch.testing.assert_close(logits(found, tokens), logits(tied.model, tokens), atol=3e-3, rtol=0)


def test_settings_of_the_architecture_come_back(other, tmp_path, tokens):
    """A head dimension that is not hidden size / heads, another RoPE base, another epsilon and context."""
    odd = other(
        head_dim=24,
        rms_norm_eps=1e-3,
        max_position_embeddings=777,
        rope_parameters={"rope_type": "default", "rope_theta": 4321.0},
    )
    written(tmp_path, odd)
    config = loaded(tmp_path).config
    assert (config.head_dim, config.max_position_embeddings, config.num_key_value_heads) == (24, 777, 2)
    assert config.rope_parameters["rope_theta"] == 4321
    assert config.rms_norm_eps == pytest.approx(1e-3)
    torch.testing.assert_close(logits(loaded(tmp_path), tokens), logits(odd.model, tokens), atol=3e-3, rtol=0)
    assert fields(tmp_path)["llama.attention.key_length"] == 24


def test_a_weight_beyond_f16_is_refused_and_bf16_holds_it(composed, fresh, tmp_path):
    model = fresh()
    model.model.layers[0].mlp.up_proj.weight.data[0, 0] = 1e6
    composed.__dict__["base"] = replace(composed.base, model=model)
    with pytest.raises(MdkifError, match=r"blk.0.ffn_up.weight are too large for float16: export with --quantize bf16"):
        export(composed, "skill:er", tmp_path / "deep" / "out", "gguf")
    assert not list((tmp_path / "deep").iterdir())
    export(composed, "skill:er", tmp_path / "deep" / "out", "gguf", "bf16")
    values, _ = tensors(tmp_path / "deep" / "out")
    assert values["blk.0.ffn_up.weight"].max() == pytest.approx(1e6, rel=0.01)


# The tokenizer


def test_transformers_reads_the_same_tokenizer(composed, base, tmp_path):
    export(composed, "all", tmp_path / "out", "gguf")
    found = AutoTokenizer.from_pretrained(tmp_path / "out", gguf_file="model.gguf")
    assert found(TEXT)["input_ids"] == base.tokenizer(TEXT)["input_ids"]
    assert found.decode(found(TEXT)["input_ids"]) == TEXT
    for name in ("bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id", "chat_template"):
        assert getattr(found, name) == getattr(base.tokenizer, name), name
    assert len(found) == len(base.tokenizer)


def test_tokens_carry_their_kinds_and_rows_without_one_are_filled(other, base, tmp_path):
    tokenizer = copy.deepcopy(base.tokenizer)
    tokenizer.add_tokens(["<think>"])
    count = len(tokenizer)
    written(tmp_path, other(tokenizer=tokenizer, vocab_size=count + 3))
    found = fields(tmp_path)
    tokens, types = found["tokenizer.ggml.tokens"], found["tokenizer.ggml.token_type"]
    assert len(tokens) == len(types) == found["llama.vocab_size"] == count + 3
    assert types[:3] == [3, 3, 3], "control: <|endoftext|>, <|im_start|>, <|im_end|>"
    assert set(types[3 : count - 1]) == {1}
    assert (tokens[count - 1], types[count - 1]) == ("<think>", 4)
    assert tokens[count:] == [f"[PAD{count + i}]" for i in range(3)]
    assert types[count:] == [5, 5, 5]
    assert loaded(tmp_path).config.vocab_size == count + 3


BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False)
DIGITS = pre_tokenizers.Digits(individual_digits=True)
REGEX = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)


def split_by(pattern):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"), REGEX])


def with_split(base, pre=None, normalizer=None):
    tokenizer = copy.deepcopy(base.tokenizer)
    tokenizer.backend_tokenizer.pre_tokenizer = pre or BYTES
    if normalizer:
        tokenizer.backend_tokenizer.normalizer = normalizer
    return tokenizer


@pytest.mark.parametrize(
    ("pre", "name"),
    [
        (BYTES, "gpt-2"),
        (pre_tokenizers.Sequence([BYTES]), "gpt-2"),
        (pre_tokenizers.Sequence([DIGITS, BYTES]), "smollm"),
        (split_by(LLAMA_3), "llama-bpe"),
    ],
)
def test_the_way_text_is_split_has_llama_cpps_name(other, base, tmp_path, pre, name):
    written(tmp_path, other(tokenizer=with_split(base, pre)))
    found = fields(tmp_path)
    assert (found["tokenizer.ggml.model"], found["tokenizer.ggml.pre"]) == ("gpt2", name)
    assert "tokenizer.ggml.scores" not in found
    assert not found["tokenizer.ggml.add_bos_token"]
    assert not found["tokenizer.ggml.add_eos_token"]


@pytest.mark.parametrize(
    ("pre", "normalizer"),
    [
        (pre_tokenizers.ByteLevel(add_prefix_space=True), None),
        (pre_tokenizers.Whitespace(), None),
        (pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=False), BYTES]), None),
        (split_by(r"\p{L}+"), None),
        (pre_tokenizers.Sequence([pre_tokenizers.Punctuation(), DIGITS, BYTES]), None),
        (BYTES, normalizers.NFC()),
    ],
)
def test_another_way_of_splitting_is_refused(other, base, pre, normalizer):
    with pytest.raises(BadInput, match="tokenizer of 'other' splits text in a way that is not written as GGUF"):
        check_gguf(other(tokenizer=with_split(base, pre, normalizer)), "f16")


def test_a_tokenizer_that_is_no_bpe_is_refused(other):
    words = Tokenizer(models.WordPiece({"[UNK]": 0, "a": 1}, unk_token="[UNK]"))
    with pytest.raises(BadInput, match="tokenizer of 'other'"):
        check_gguf(other(tokenizer=PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]")), "f16")


@pytest.fixture(scope="module")
def pieces():
    """A tokenizer as SentencePiece's BPE is converted: a space is ▁, unknown characters are bytes, and <s> is added."""
    from mdkif_model_tiny import TEXTS

    bpe = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    bpe.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    bpe.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    special = ["<unk>", "<s>", "</s>"]
    trainer = trainers.BpeTrainer(
        vocab_size=590, special_tokens=special + [f"<0x{i:02X}>" for i in range(256)], show_progress=False
    )
    bpe.train_from_iterator(TEXTS, trainer)
    facts = json.loads(bpe.to_str())
    facts["added_tokens"] = facts["added_tokens"][:3]  # a byte is a token of the vocabulary
    bpe = Tokenizer.from_str(json.dumps(facts))
    bpe.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def test_a_sentencepiece_vocabulary_has_scores_in_the_order_of_its_merges(other, pieces, tmp_path):
    written(tmp_path, other(tokenizer=pieces))
    found = fields(tmp_path)
    assert (found["tokenizer.ggml.model"], found["tokenizer.ggml.pre"]) == ("llama", "default")
    assert found["tokenizer.ggml.add_bos_token"]
    assert not found["tokenizer.ggml.add_eos_token"]
    assert found["tokenizer.ggml.add_space_prefix"]
    assert found["tokenizer.ggml.token_type"][:4] == [2, 3, 3, 6], "unknown, control, control, byte"
    assert found["tokenizer.ggml.token_type"].count(6) == 256
    scores = dict(zip(found["tokenizer.ggml.tokens"], found["tokenizer.ggml.scores"], strict=True))
    merged = [merge.replace(" ", "") for merge in found["tokenizer.ggml.merges"]]
    assert len(merged) > 200
    assert [scores[token] for token in merged] == sorted((scores[token] for token in merged), reverse=True)
    assert scores[merged[0]] == 0
    assert scores["a"] < scores[merged[-1]]


def by_score(text, found):
    """SentencePiece's BPE as llama.cpp does it: of all neighbours join the pair whose token has the best score."""
    tokens = found["tokenizer.ggml.tokens"]
    scores = dict(zip(tokens, found["tokenizer.ggml.scores"], strict=True))
    parts = list("▁" + text.replace(" ", "▁"))
    while True:
        pairs = [(-scores[a + b], i) for i, (a, b) in enumerate(pairwise(parts)) if a + b in scores]
        if not pairs:
            break
        _, i = min(pairs)
        parts[i : i + 2] = [parts[i] + parts[i + 1]]
    known = set(tokens)
    spelt = [[p] if p in known else [f"<0x{byte:02X}>" for byte in p.encode()] for p in parts]
    return [tokens.index(token) for piece in spelt for token in piece]


def test_sentencepieces_own_rule_and_transformers_cut_the_text_alike(other, pieces, tmp_path):
    written(tmp_path, other(tokenizer=pieces))
    found = AutoTokenizer.from_pretrained(tmp_path, gguf_file="model.gguf")
    described = fields(tmp_path)
    for text in (
        "The patient was treated with  aspirin 12.6 mg.",
        "é ü 中 🙂\n\tx",
        "What are the symptoms of asthma?",
    ):
        expected = pieces(text)["input_ids"]
        assert found(text)["input_ids"] == expected
        assert [1, *by_score(text, described)] == expected


# What is refused, and the command


def test_another_architecture_is_refused_by_name(composed, base, tmp_path):
    names = ("vocab_size", "hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads")
    sizes = {name: getattr(base.model.config, name) for name in names}
    qwen = Qwen2ForCausalLM(Qwen2Config(num_hidden_layers=2, **sizes)).requires_grad_(False)
    composed.__dict__["base"] = replace(composed.base, model=qwen)
    with pytest.raises(BadInput, match="'tiny' has the architecture 'qwen2': only 'llama' is written as GGUF"):
        export(composed, "all", tmp_path / "out", "gguf")
    assert not (tmp_path / "out").exists()
    export(composed, "all", tmp_path / "out", "merged")


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"attention_bias": True}, "attention_bias"),
        ({"mlp_bias": True}, "mlp_bias"),
        ({"hidden_act": "gelu"}, "hidden_act gelu"),
        ({"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}}, "RoPE linear"),
        ({"attention_bias": True, "hidden_act": "relu"}, "attention_bias and hidden_act relu"),
    ],
)
def test_a_llama_with_what_gguf_files_cannot_say_is_refused(other, settings, named):
    with pytest.raises(BadInput, match=f"'other' has {named}, which is not written as GGUF"):
        check_gguf(other(**settings), "f16")


def test_types_gguf_cannot_write_and_formats_without_types_are_refused(composed, tmp_path):
    with pytest.raises(BadInput, match="no type 'q4_k' to quantize to: use one of f32, f16, bf16, q8_0"):
        export(composed, "all", tmp_path / "out", "gguf", "q4_k")
    for to in ("lora", "merged"):
        with pytest.raises(BadInput, match=f"export as {to} is not quantized: use --to gguf with --quantize q8_0"):
            export(composed, "all", tmp_path / "out", to, "q8_0")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("quantize", TYPES)
def test_every_type_it_offers_is_written(composed, tmp_path, quantize):
    facts = export(composed, "skill:qa", tmp_path / "out", "gguf", quantize)
    _, types = tensors(tmp_path / "out")
    assert types["blk.1.ffn_gate.weight"] == quantize
    assert {kind: list(types.values()).count(kind) for kind in set(types.values())} == facts["types"]


def test_without_the_package_gguf_the_error_tells_the_extra(composed, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(BadInput, match=r"needs the package gguf: run pip install 'mdkif\[gguf\]'"):
        export(composed, "all", tmp_path / "out", "gguf")
    assert not (tmp_path / "out").exists()
    export(composed, "all", tmp_path / "out", "merged")


def test_the_same_export_is_the_same_file(composed, tmp_path):
    for name in ("a", "b"):
        export(composed, "all", tmp_path / name, "gguf", "q8_0")
    assert (tmp_path / "a" / "model.gguf").read_bytes() == (tmp_path / "b" / "model.gguf").read_bytes()


def test_the_command_writes_it_with_its_facts(skilled, base, tmp_path):
    store = skilled.store.root
    shutil.copytree(base.path, store / "models" / "tiny")
    arguments = ["--store", store, "export", "skill:qa", tmp_path / "out", "--to", "gguf", "--quantize", "q8_0"]
    done = CliRunner().invoke(main, [*map(str, arguments), "--base", "tiny", "--dtype", "float32", "--json"])
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert facts["types"] == {"q8_0": 16, "f32": 5}
    assert json.loads((tmp_path / "out" / "mdkif.json").read_text()) == {
        key: value for key, value in facts.items() if key != "directory"
    }
    found = fields(tmp_path / "out")
    assert found["general.architecture"] == "llama"
    assert found["general.name"] == "tiny skill:qa"
    assert found["general.file_type"] == 7, "mostly q8_0"
