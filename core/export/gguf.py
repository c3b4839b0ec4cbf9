"""A Llama with its tokenizer as one GGUF file, laid out as llama.cpp's; transformers reads it back too."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadInput, MdkifError
from .gguf_tokens import vocabulary

if TYPE_CHECKING:
    import numpy as np
    import torch
    from gguf import GGMLQuantizationType, GGUFWriter

    from ..models.base import Base
    from ..progress import Progress

TYPES = ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0")  # what gguf writes; of K-quants it only reads
VOCABULARY = ("token_embd.weight", "output.weight")


def check_gguf(base: Base, quantize: str) -> None:
    """Raises BadInput, naming the reason, if the base model cannot be written as GGUF with this type."""
    if quantize not in TYPES:
        raise BadInput(f"There is no type '{quantize}' to quantize to: use one of {', '.join(TYPES)}.")
    config: Any = base.model.config
    if config.model_type != "llama":
        raise BadInput(
            f"The base model '{base.name}' has the architecture '{config.model_type}': only 'llama' is written as "
            "GGUF; export it as merged, and convert that with llama.cpp."
        )
    rope = (config.rope_parameters or {}).get("rope_type", "default")
    odd = [name for name in ("attention_bias", "mlp_bias") if getattr(config, name, False)]
    odd += [f"hidden_act {config.hidden_act}"] * (config.hidden_act != "silu") + [f"RoPE {rope}"] * (rope != "default")
    if odd:
        raise BadInput(
            f"The base model '{base.name}' has {' and '.join(odd)}, which is not written as GGUF: export it as merged, "
            "and convert that with llama.cpp."
        )
    vocabulary(base)
    try:
        import gguf  # noqa: F401
    except ImportError:
        raise BadInput("Exporting to GGUF needs the package gguf: run pip install 'mdkif[gguf]'.") from None


@dataclass(frozen=True)
class Written:
    """What was written, and by what each matrix in the file differs: its squared error, by the name of the weight."""

    facts: Mapping[str, Any]
    squares: Mapping[str, float]

    def error(self, modules: Iterable[str]) -> float:
        """||stored - W|| over the weights of these modules."""
        return math.sqrt(math.fsum(self.squares[f"{module}.weight"] for module in modules))


def write_gguf(file: Path, base: Base, name: str, quantize: str, progress: Progress) -> Written:
    """Write the model as it is now, one converted tensor in memory at a time.

    Vectors stay float32. Matrices become `quantize`, but embeddings and output no less than q8_0, and
    f16 where a row is not whole blocks. Its facts are how many tensors have each type, and
    `quantization_error`, ||stored - W|| / ||W|| over all matrices. Raises MdkifError for a weight
    beyond float16.
    """
    import gguf
    import numpy as np

    tensors = list(_tensors(base, quantize))
    squares, total = {}, 0.0
    with (
        closing(gguf.GGUFWriter(file, "llama")) as writer,
        progress.task("writing GGUF", len(tensors)) as bar,
    ):
        _describe_model(writer, base, name, quantize)
        vocabulary(base).describe(writer)
        for tensor in tensors:
            block, size = gguf.GGML_QUANT_SIZES[tensor.kind]
            count = tensor.weight.numel() // block * size
            writer.add_tensor_info(tensor.name, tensor.weight.shape, np.dtype("float32"), count, tensor.kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for tensor in tensors:
            exact = tensor.values()
            with np.errstate(over="ignore"):  # refused below
                stored = gguf.quantize(exact, tensor.kind)
            if not np.isfinite(stored).all():
                raise MdkifError(
                    f"The weights of {tensor.name} are too large for float16: export with --quantize bf16."
                )
            writer.write_tensor_data(stored)
            if exact.ndim > 1:
                off = gguf.dequantize(stored, tensor.kind).reshape(exact.shape) - exact
                squares[tensor.key] = float(np.square(off, dtype=np.float64).sum())
                total += float(np.square(exact).sum())
            bar.advance()
    types = Counter(tensor.kind.name.lower() for tensor in tensors)
    error = math.sqrt(math.fsum(squares.values()) / total)
    return Written({"file": file.name, "types": dict(types), "quantization_error": error}, squares)


@dataclass(frozen=True)
class _Tensor:
    key: str
    name: str
    weight: torch.Tensor
    kind: GGMLQuantizationType
    heads: int

    def values(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        """The weight in float32; q and k with the two halves of a head, which RoPE turns in pairs, interleaved."""
        values: np.ndarray[Any, np.dtype[np.float32]] = self.weight.detach().float().cpu().numpy()
        if not self.heads:
            return values
        return values.reshape(self.heads, 2, -1, values.shape[-1]).swapaxes(1, 2).reshape(values.shape)


def _tensors(base: Base, quantize: str) -> Iterator[_Tensor]:
    import gguf

    config: Any = base.model.config
    types = gguf.GGMLQuantizationType
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    for key, weight in base.model.named_parameters():  # where output and embeddings are tied, only the embeddings
        name = f"{names.get_name(key.removesuffix('.weight'))}.weight"
        kind = types[quantize.upper()]
        if weight.dim() == 1:
            kind = types.F32
        elif weight.shape[-1] % gguf.GGML_QUANT_SIZES[kind][0]:
            kind = types.F16
        elif name in VOCABULARY and quantize.startswith(("q4", "q5")):
            kind = types.Q8_0
        yield _Tensor(key, name, weight, kind, heads.get(key.split(".")[-2], 0))


def _describe_model(writer: GGUFWriter, base: Base, name: str, quantize: str) -> None:
    import gguf

    config: Any = base.model.config
    writer.add_name(name)
    writer.add_file_type(gguf.LlamaFileType["ALL_F32" if quantize == "f32" else f"MOSTLY_{quantize.upper()}"])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
