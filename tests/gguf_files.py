"""Writing GGUF files and reading them back, by the package gguf and by transformers."""

import torch
from gguf import GGUFReader, dequantize
from mdkif import Progress
from mdkif.core.export.gguf import check_gguf, write_gguf
from transformers import (
    AutoModelForCausalLM,
)


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
