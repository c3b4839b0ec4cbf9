"""The tokenizer in a GGUF export is the base model's own, whoever reads it."""

import copy
import json
from itertools import pairwise

import pytest
from gguf_files import fields, loaded, written
from mdkif import BadInput
from mdkif.core.export.export import export
from mdkif.core.export.gguf import check_gguf
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    AutoTokenizer,
    PreTrainedTokenizerFast,
)

TEXT = "The patient's INR was 2.5 in 2019 <|im_start|>user\nIs  12.6 mg safe?\n\n é ü 中 🙂\tx<|im_end|>"
LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def test_gguf_tokens_give_transformers_the_same_tokenizer(composed, base, tmp_path):
    export(composed, "all", tmp_path / "out", "gguf")
    found = AutoTokenizer.from_pretrained(tmp_path / "out", gguf_file="model.gguf")
    assert found(TEXT)["input_ids"] == base.tokenizer(TEXT)["input_ids"]
    assert found.decode(found(TEXT)["input_ids"]) == TEXT
    for name in ("bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id", "chat_template"):
        assert getattr(found, name) == getattr(base.tokenizer, name), name
    assert len(found) == len(base.tokenizer)


def test_gguf_tokens_tokens_carry_their_kinds_and_rows_without_one_are_filled(other, base, tmp_path):
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
def test_gguf_tokens_way_text_is_split_has_llama_cpps_name(other, base, tmp_path, pre, name):
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
def test_gguf_tokens_refuse_another_way_of_splitting(other, base, pre, normalizer):
    with pytest.raises(BadInput, match="tokenizer of 'other' splits text in a way that is not written as GGUF"):
        check_gguf(other(tokenizer=with_split(base, pre, normalizer)), "f16")


def test_gguf_tokens_tokenizer_that_is_no_bpe_is_refused(other):
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


def test_gguf_tokens_sentencepiece_vocabulary_has_scores_in_the_order_of_its_merges(other, pieces, tmp_path):
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


def test_gguf_tokens_sentencepieces_own_rule_and_transformers_cut_the_text_alike(other, pieces, tmp_path):
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
