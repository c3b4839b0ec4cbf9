"""A tokenizer as a GGUF file describes it: tokens with their kinds, merges, and how text is split before."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import BadInput

if TYPE_CHECKING:
    from gguf import GGUFWriter

    from ..models.base import Base

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
BYTE_TOKEN = re.compile(r"<0x[0-9A-F]{2}>")
LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of all rows of the embeddings, as llama.cpp names and marks them."""

    model: str
    pre: str
    tokens: list[str]
    types: list[int]
    scores: list[float]
    merges: list[str]
    tokenizer: Any

    def describe(self, writer: GGUFWriter) -> None:
        """Write everything about the tokenizer, the chat template included."""
        tokenizer = self.tokenizer
        writer.add_tokenizer_model(self.model)
        writer.add_tokenizer_pre(self.pre)
        writer.add_token_list(self.tokens)
        writer.add_token_types(self.types)
        writer.add_token_merges(self.merges)
        if self.model == "llama":
            writer.add_token_scores(self.scores)
            writer.add_add_space_prefix(tokenizer.tokenize("a")[0].startswith("\u2581"))
        ids = tokenizer("a")["input_ids"]
        writer.add_add_bos_token(ids[0] == tokenizer.bos_token_id)
        writer.add_add_eos_token(ids[-1] == tokenizer.eos_token_id)
        for add, token in (
            (writer.add_bos_token_id, tokenizer.bos_token_id),
            (writer.add_eos_token_id, tokenizer.eos_token_id),
            (writer.add_unk_token_id, tokenizer.unk_token_id),
            (writer.add_pad_token_id, tokenizer.pad_token_id),
        ):
            if token is not None:
                add(token)
        if tokenizer.chat_template:
            writer.add_chat_template(tokenizer.get_chat_template())


def vocabulary(base: Base) -> Vocabulary:
    """Raises BadInput if the tokenizer is neither SentencePiece's BPE nor a byte-level BPE that llama.cpp names."""
    tokenizer: Any = base.tokenizer
    facts = json.loads(tokenizer.backend_tokenizer.to_str()) if tokenizer.is_fast else {"model": {}}
    pre = _pre_tokenizer(facts)
    if pre is None:
        raise BadInput(
            f"The tokenizer of '{base.name}' splits text in a way that is not written as GGUF: export it as merged, "
            "and convert that with llama.cpp."
        )
    pieces = pre == "default"
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in facts["model"]["merges"]]
    # SentencePiece merges the pair of the best score first, so a token's place among the merges is its score
    scores = {merge.replace(" ", ""): -float(rank) for rank, merge in reversed(list(enumerate(merges)))}
    own = {i: token for token, i in tokenizer.get_vocab().items()}
    types = {i: BYTE if pieces and BYTE_TOKEN.fullmatch(token) else NORMAL for i, token in own.items()}
    types |= {i: CONTROL if token.special else USER_DEFINED for i, token in tokenizer.added_tokens_decoder.items()}
    if pieces and tokenizer.unk_token_id is not None:
        types[tokenizer.unk_token_id] = UNKNOWN
    rows = range(base.model.config.vocab_size)
    tokens = [own.get(i, f"[PAD{i}]") for i in rows]
    return Vocabulary(
        "llama" if pieces else "gpt2",
        pre,
        tokens,
        [types.get(i, UNUSED) for i in rows],
        [scores.get(token, -1e6) for token in tokens],
        merges,
        tokenizer,
    )


def _pre_tokenizer(facts: dict[str, Any]) -> str | None:
    """llama.cpp's name of how text is split before it is merged; "default" is SentencePiece's way."""
    if facts["model"].get("type") != "BPE":
        return None
    if facts["model"]["byte_fallback"]:
        return "default"
    first = facts["pre_tokenizer"] or {}
    *splits, last = first.get("pretokenizers") or [first]
    if facts["normalizer"] or last.get("type") != "ByteLevel" or last["add_prefix_space"]:
        return None
    match splits, last.get("use_regex", True):
        case [], True:
            return "gpt-2"
        case [{"type": "Digits", "individual_digits": True}], True:
            return "smollm"
        case [{"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated"}], False if pattern == LLAMA_3:
            return "llama-bpe"
    return None
