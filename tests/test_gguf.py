"""A GGUF export, read by transformers and by the package gguf alone, is the merged model and its tokenizer."""

import json
import shutil
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from gguf_files import fields, loaded, logits, tensors, written
from mdkif import BadInput, MdkifError
from mdkif.cli import main
from mdkif.core.export.export import export
from mdkif.core.export.gguf import TYPES, check_gguf
from transformers import (
    AutoModelForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)
from verbs import applied, bank_of

TEXT = "The patient's INR was 2.5 in 2019 <|im_start|>user\nIs  12.6 mg safe?\n\n é ü 中 🙂\tx<|im_end|>"

# The model


@pytest.mark.parametrize("target", ["all", "layered", "skill:er"])
def test_gguf_gives_transformers_the_logits_of_the_merged_export(composed, fresh, tmp_path, tokens, target):
    export(composed, target, tmp_path / "merged", "merged")
    facts = export(composed, target, tmp_path / "gguf", "gguf")
    merged = logits(AutoModelForCausalLM.from_pretrained(tmp_path / "merged"), tokens)
    found = logits(loaded(tmp_path / "gguf"), tokens)
    torch.testing.assert_close(found, merged, atol=3e-3, rtol=0)
    assert (merged - logits(fresh(), tokens)).abs().max() > 0.1, "the blend is much larger than the tolerance"
    assert facts["quantization_error"] < 2**-11
    assert 0 < facts["update_error"] < 2**-8


def test_gguf_loses_nothing_in_float32(composed, tmp_path, tokens):
    facts = export(composed, "all", tmp_path / "out", "gguf", "f32")
    with applied(composed, "all"):
        expected = logits(composed.base.model, tokens)
    torch.testing.assert_close(logits(loaded(tmp_path / "out"), tokens), expected, atol=1e-5, rtol=0)
    assert facts["quantization_error"] == 0
    assert set(facts["types"]) == {"f32"}


def test_gguf_of_a_bfloat16_base_is_rounded_once_from_float32(composed, fresh, tmp_path, tokens):
    """In f16 it keeps three bits more of the update than weights merged in bfloat16."""
    half = fresh().to(torch.bfloat16)
    composed.__dict__["base"] = replace(composed.base, model=half)
    merged = export(composed, "all", tmp_path / "merged", "merged")
    facts = export(composed, "all", tmp_path / "gguf", "gguf")
    assert merged["update_error"] / 12 < facts["update_error"] < merged["update_error"] / 6
    exact = half.float()
    bank = bank_of(composed, ["qa", "nli", "er"])
    deltas = {path: bank.delta(path, torch.tensor([0.7, -0.3, 0.6])) for path in bank.paths}
    before = {path: exact.get_submodule(path).weight.detach().clone() for path in deltas}
    for path, delta in deltas.items():
        exact.get_submodule(path).weight.data += delta
    model = loaded(tmp_path / "gguf")
    torch.testing.assert_close(logits(model, tokens), logits(exact, tokens), atol=3e-3, rtol=0)
    off = [model.get_submodule(path).weight.detach().double() - before[path] - delta for path, delta in deltas.items()]
    error, size = (sum(float(each.double().square().sum()) for each in some) for some in (off, deltas.values()))
    assert facts["update_error"] == pytest.approx((error / size) ** 0.5, rel=1e-3)


def test_gguf_coarser_types_are_smaller_and_lose_more(composed, tmp_path, tokens):
    with applied(composed, "all"):
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


def test_gguf_tells_the_error_of_the_matrices_in_the_file(composed, tmp_path):
    export(composed, "skill:qa", tmp_path / "exact", "gguf", "f32")
    facts = export(composed, "skill:qa", tmp_path / "out", "gguf", "q4_0")
    exact, _ = tensors(tmp_path / "exact")
    stored, _ = tensors(tmp_path / "out")
    matrices = [name for name, value in exact.items() if value.ndim == 2]
    error = sum(np.square(stored[name] - exact[name]).sum() for name in matrices)
    size = sum(np.square(exact[name]).sum() for name in matrices)
    assert facts["quantization_error"] == pytest.approx(np.sqrt(error / size), rel=1e-4)


def test_gguf_vectors_stay_float32_and_the_vocabularys_matrices_stay_finer(composed, tmp_path):
    facts = export(composed, "all", tmp_path / "out", "gguf", "q4_0")
    _, types = tensors(tmp_path / "out")
    assert {name for name, kind in types.items() if kind == "q8_0"} == {"token_embd.weight", "output.weight"}
    assert {name for name, kind in types.items() if kind == "f32"} == {
        *(f"blk.{i}.{norm}_norm.weight" for i in range(2) for norm in ("attn", "ffn")), "output_norm.weight"
    }  # fmt: skip
    assert facts["types"] == {"q8_0": 2, "q4_0": 14, "f32": 5}


def test_gguf_rows_that_are_not_whole_blocks_stay_f16(other, tmp_path, tokens):
    narrow = other(hidden_size=48, intermediate_size=96, head_dim=12)
    facts = written(tmp_path, narrow, "q8_0").facts
    values, types = tensors(tmp_path)
    assert {kind for name, kind in types.items() if values[name].shape[-1] == 48 and values[name].ndim == 2} == {"f16"}
    assert types["blk.0.ffn_down.weight"] == "q8_0"
    assert facts["types"]["f16"] == 14
    torch.testing.assert_close(logits(loaded(tmp_path), tokens), logits(narrow.model, tokens), atol=0.05, rtol=0)


def test_gguf_rows_of_q_and_k_are_interleaved_head_by_head_as_llama_cpp_has_them(composed, base, tmp_path):
    """Row j of the first half of a head comes to 2j, row j of the second to 2j + 1; there are fewer heads of k."""
    export(composed, "skill:nli", tmp_path / "out", "gguf", "f32")
    values, _ = tensors(tmp_path / "out")
    with applied(composed, "skill:nli"):
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


def test_gguf_tied_embeddings_are_written_once_and_come_back_tied(other, tmp_path, tokens):
    tied = other(tie_word_embeddings=True)
    written(tmp_path, tied)
    values, _ = tensors(tmp_path)
    assert "output.weight" not in values
    found = loaded(tmp_path)
    assert found.config.tie_word_embeddings
    assert found.lm_head.weight is found.model.embed_tokens.weight
    torch.testing.assert_close(logits(found, tokens), logits(tied.model, tokens), atol=3e-3, rtol=0)


def test_gguf_settings_of_the_architecture_come_back(other, tmp_path, tokens):
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


def test_gguf_weight_beyond_f16_is_refused_and_bf16_holds_it(composed, fresh, tmp_path):
    model = fresh()
    model.model.layers[0].mlp.up_proj.weight.data[0, 0] = 1e6
    composed.__dict__["base"] = replace(composed.base, model=model)
    with pytest.raises(MdkifError, match=r"blk.0.ffn_up.weight are too large for float16: export with --quantize bf16"):
        export(composed, "skill:er", tmp_path / "deep" / "out", "gguf")
    assert not list((tmp_path / "deep").iterdir())
    export(composed, "skill:er", tmp_path / "deep" / "out", "gguf", "bf16")
    values, _ = tensors(tmp_path / "deep" / "out")
    assert values["blk.0.ffn_up.weight"].max() == pytest.approx(1e6, rel=0.01)


# What is refused, and the command


def test_gguf_refuses_another_architecture_by_name(composed, base, tmp_path):
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
def test_gguf_llama_with_what_gguf_files_cannot_say_is_refused(other, settings, named):
    with pytest.raises(BadInput, match=f"'other' has {named}, which is not written as GGUF"):
        check_gguf(other(**settings), "f16")


def test_gguf_types_gguf_cannot_write_and_formats_without_types_are_refused(composed, tmp_path):
    with pytest.raises(BadInput, match="no type 'q4_k' to quantize to: use one of f32, f16, bf16, q8_0"):
        export(composed, "all", tmp_path / "out", "gguf", "q4_k")
    for to in ("lora", "merged"):
        with pytest.raises(BadInput, match=f"export as {to} is not quantized: use --to gguf with --quantize q8_0"):
            export(composed, "all", tmp_path / "out", to, "q8_0")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("quantize", TYPES)
def test_gguf_writes_every_type_it_offers(composed, tmp_path, quantize):
    facts = export(composed, "skill:qa", tmp_path / "out", "gguf", quantize)
    _, types = tensors(tmp_path / "out")
    assert types["blk.1.ffn_gate.weight"] == quantize
    assert {kind: list(types.values()).count(kind) for kind in set(types.values())} == facts["types"]


def test_gguf_missing_as_a_package_is_answered_with_the_extra(composed, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(BadInput, match=r"needs the package gguf: run pip install 'mdkif\[gguf\]'"):
        export(composed, "all", tmp_path / "out", "gguf")
    assert not (tmp_path / "out").exists()
    export(composed, "all", tmp_path / "out", "merged")


def test_gguf_of_the_same_export_is_the_same_file(composed, tmp_path):
    for name in ("a", "b"):
        export(composed, "all", tmp_path / name, "gguf", "q8_0")
    assert (tmp_path / "a" / "model.gguf").read_bytes() == (tmp_path / "b" / "model.gguf").read_bytes()


def test_gguf_is_written_by_the_command_with_its_facts(skilled, base, tmp_path):
    store = skilled.store.root
    shutil.copytree(base.path, store / "models" / "tiny")
    arguments = ["--store", store, "export", "skill:qa", tmp_path / "out", "--to", "gguf", "--quantize", "q8_0"]
    done = CliRunner().invoke(main, [*map(str, arguments), "--base", "tiny", "--dtype", "float32", "--json"])
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert facts["types"] == {"q8_0": 16, "f32": 5}
    written = json.loads((tmp_path / "out" / "mdkif.json").read_text())
    assert written == {key: value for key, value in facts.items() if key != "directory"} | {
        key: {"model.gguf": written[key]["model.gguf"]} for key in ("bytes", "files")
    }
    assert written["bytes"] == {"model.gguf": (tmp_path / "out" / "model.gguf").stat().st_size}
    found = fields(tmp_path / "out")
    assert found["general.architecture"] == "llama"
    assert found["general.name"] == "tiny skill:qa"
    assert found["general.file_type"] == 7, "mostly q8_0"
