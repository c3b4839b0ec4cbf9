"""Reading what PEFT wrote and writing what PEFT reads: the numbers must be PEFT's own."""

import json
import shutil

import pytest
import torch
from mdkif import BadInput
from mdkif.core.adapters.low_rank import LowRank
from mdkif.core.adapters.peft_files import read_adapter, write_lora
from peft import PeftModel
from safetensors import safe_open
from safetensors.torch import load_file, save_file


def pefts_deltas(model, folder):
    wrapped = PeftModel.from_pretrained(model, str(folder))
    modules = wrapped.base_model.model.named_modules()
    return {p: m.get_delta_weight("default").detach() for p, m in modules if hasattr(m, "get_delta_weight")}


def assert_same(updates, deltas):
    assert set(updates) == set(deltas)
    for path, delta in deltas.items():
        torch.testing.assert_close(updates[path].up @ updates[path].down, delta, atol=1e-6, rtol=1e-5)


@torch.no_grad()
def logits(model, tokens):
    return model.eval()(input_ids=tokens).logits


KINDS = {
    "LoRA": {"r": 4, "lora_alpha": 7},
    "LoRA on two projections": {"r": 2, "lora_alpha": 16, "target_modules": ["q_proj", "down_proj"]},
    "rsLoRA": {"r": 9, "lora_alpha": 5, "use_rslora": True},
    "AdaLoRA": {
        "peft_type": "ADALORA",
        "init_r": 6,
        "target_r": 2,
        "lora_alpha": 3,
        "ranks": {"q_proj": 1, "up_proj": 0},
    },
    "AdaLoRA with r set": {"peft_type": "ADALORA", "init_r": 5, "target_r": 2, "lora_alpha": 32, "r": 8},
    "rank and alpha by exact path": {
        "r": 4,
        "lora_alpha": 8,
        "rank_pattern": {"model.layers.1.mlp.up_proj": 2},
        "alpha_pattern": {"model.layers.1.mlp.up_proj": 20},
    },
    "alpha by the end of the path": {"r": 4, "lora_alpha": 8, "alpha_pattern": {"q_proj": 1, "0.mlp.up_proj": 40}},
    "alpha by a regular expression": {"r": 4, "lora_alpha": 8, "alpha_pattern": {r"layers\.[1-9]\..*_proj": 2}},
    "rsLoRA with patterns": {
        "r": 4,
        "lora_alpha": 8,
        "use_rslora": True,
        "rank_pattern": {"v_proj": 9},
        "alpha_pattern": {"v_proj": 30},
    },
}


@pytest.mark.parametrize("kind", KINDS)
def test_adapter_updates_are_pefts_delta_weights(fresh, make_adapter, tmp_path, kind):
    folder = make_adapter(tmp_path, 5, **KINDS[kind])
    updates = read_adapter(folder)
    assert_same(updates, pefts_deltas(fresh(), folder))
    assert all(u.up.dtype == u.down.dtype == torch.float32 for u in updates.values())


def test_adapter_ranks_are_those_adalora_kept(make_adapter, tmp_path):
    updates = read_adapter(make_adapter(tmp_path, 5, **KINDS["AdaLoRA"]))
    ranks = {path.rpartition(".")[2]: update.rank for path, update in updates.items()}
    assert ranks == {"q_proj": 1, "up_proj": 0} | dict.fromkeys(
        ("k_proj", "v_proj", "o_proj", "gate_proj", "down_proj"), 6
    )


def test_adapter_half_precision_files_are_read_as_float32(fresh, make_adapter, tmp_path):
    folder = make_adapter(tmp_path, 5, r=4, lora_alpha=7)
    halves = {key: value.bfloat16() for key, value in load_file(folder / "adapter_model.safetensors").items()}
    save_file(halves, folder / "adapter_model.safetensors")
    assert_same(read_adapter(folder), pefts_deltas(fresh(), folder))


def test_adapter_squared_norm_is_the_dense_one():
    update = LowRank(torch.randn(3, 17), torch.randn(11, 3))
    assert update.squared_norm == pytest.approx((update.up @ update.down).norm().item() ** 2, rel=1e-5)
    assert LowRank(torch.zeros(0, 17), torch.zeros(11, 0)).squared_norm == 0


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"bias": "all"}, "bias"),
        ({"bias": "lora_only"}, "bias"),
        ({"lora_bias": True}, "lora_bias"),
        ({"fan_in_fan_out": True}, "fan_in_fan_out"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights pissa"),
        ({"layer_replication": [[0, 2]]}, "layer_replication"),
        ({"trainable_token_indices": [3]}, "trainable_token_indices"),
        ({"peft_type": "LOHA"}, "peft_type LOHA"),
        ({"peft_type": "IA3"}, "peft_type IA3"),
        ({"peft_type": None}, "peft_type None"),
    ],
)
def test_adapter_that_is_no_sum_of_low_rank_terms_is_refused_by_name(adapters, tmp_path, change, named):
    folder = shutil.copytree(adapters["qa"], tmp_path / "strange")
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(BadInput, match=f"adapter at {folder} has .*{named}.*: only LoRA, rsLoRA and AdaLoRA"):
        read_adapter(folder)


@pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`:UserWarning")
def test_adapter_of_dora_or_with_an_embedding_is_refused(make_adapter, tmp_path):
    with pytest.raises(BadInput, match="use_dora"):
        read_adapter(make_adapter(tmp_path / "dora", 5, r=2, use_dora=True))
    with pytest.raises(BadInput, match=r"the tensor base_model\.model\.model\.embed_tokens"):
        read_adapter(make_adapter(tmp_path / "embedding", 5, r=2, target_modules=["embed_tokens", "q_proj"]))


@pytest.mark.parametrize("alpha", [0, -1])
def test_adapter_of_adalora_without_positive_alpha_is_refused(adapters, tmp_path, alpha):
    folder = shutil.copytree(adapters["er"], tmp_path / "er")
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**config, "lora_alpha": alpha}))
    with pytest.raises(BadInput, match=f"lora_alpha {alpha}: its scale is lost on reload"):
        read_adapter(folder)


def test_adapter_broken_files_are_refused_with_their_place(adapters, tmp_path):
    with pytest.raises(BadInput, match="There is no adapter configuration at"):
        read_adapter(tmp_path)
    folder = shutil.copytree(adapters["qa"], tmp_path / "qa")
    weights = folder / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(BadInput, match=f"{weights} cannot be read"):
        read_adapter(folder)
    weights.unlink()
    with pytest.raises(BadInput, match=f"{weights} cannot be read"):
        read_adapter(folder)
    (folder / "adapter_config.json").write_text("{")
    with pytest.raises(BadInput, match="not a readable adapter configuration"):
        read_adapter(folder)


@pytest.mark.parametrize("name", ["qa", "nli", "er"])
def test_adapter_written_as_lora_gives_the_same_logits_in_plain_peft(fresh, adapters, tmp_path, tokens, name):
    write_lora(tmp_path, read_adapter(adapters[name]), "tiny")
    found = logits(PeftModel.from_pretrained(fresh(), str(tmp_path)), tokens)
    expected = logits(PeftModel.from_pretrained(fresh(), str(adapters[name])), tokens)
    assert (expected - logits(fresh(), tokens)).abs().max() > 0.05
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_adapter_written_lora_has_one_rank_and_scale_one_for_vllm_and_llama_cpp(adapters, tmp_path):
    write_lora(tmp_path, read_adapter(adapters["er"]), "some/base")
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert config["r"] == config["lora_alpha"] == 5
    assert config["base_model_name_or_path"] == "some/base"
    assert not config.get("rank_pattern")
    assert not config.get("alpha_pattern")
    with safe_open(tmp_path / "adapter_model.safetensors", "pt") as file:
        shapes = {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118
    assert len(shapes) == 28
    assert all(key.endswith((".lora_A.weight", ".lora_B.weight")) for key in shapes)
    assert {shape[0] if "lora_A" in key else shape[1] for key, shape in shapes.items()} == {5}


def test_adapter_updates_of_rank_zero_everywhere_are_still_a_loadable_lora(fresh, tmp_path, tokens):
    write_lora(tmp_path, {"model.layers.0.mlp.up_proj": LowRank(torch.zeros(0, 64), torch.zeros(128, 0))}, "tiny")
    assert torch.equal(logits(PeftModel.from_pretrained(fresh(), str(tmp_path)), tokens), logits(fresh(), tokens))


def test_adapter_written_is_read_back(adapters, tmp_path):
    updates = read_adapter(adapters["er"])
    write_lora(tmp_path, updates, "tiny")
    back = read_adapter(tmp_path)
    assert set(back) == set(updates)
    for path, update in updates.items():
        assert torch.equal(back[path].down[: update.rank], update.down)
        assert back[path].down[update.rank :].abs().sum() == 0
        assert torch.equal(back[path].up[:, : update.rank], update.up)
