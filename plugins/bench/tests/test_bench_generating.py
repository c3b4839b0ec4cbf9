"""What the rows on generated text are made of: the same texts on both sides, ends that differ, weights read."""

import random

import pytest
import torch
from mdkif import Toolkit, generate
from mdkif_bench import generating
from mdkif_bench.material import Bench, random_weights


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def bench(request, tmp_path_factory):
    kit = Toolkit(tmp_path_factory.mktemp("bench") / "store", "tiny", dtype=request.param, device="cpu")
    return Bench(kit=kit, skills=3, rank=2, repeats=1)


def test_bench_generating_compares_the_same_texts(bench):
    base, rows = bench.base, generating.prompts(bench.base, [3, 20, 7, 12])
    with bench.bank().merged(random_weights(3)):
        theirs = generating.by_transformers(base, rows)
        ours = generate(base, rows, generating.NEW)
    texts = [base.tokenizer.decode(text, skip_special_tokens=True).strip() for text in theirs]
    if base.model.dtype == torch.float32:
        assert ours == texts
    assert [len(row.prompt) for row in rows] == [3, 20, 7, 12]


def test_bench_generating_texts_end_at_different_tokens_and_the_row_counts_them(bench):
    base, lengths = bench.base, [random.Random(1).randint(3, 20) for _ in range(9)]
    before = base.model.generation_config.eos_token_id
    with generating.ending(bench, lengths, random.Random(0)) as tokens:
        ends = set(base.model.generation_config.eos_token_id)
        with bench.bank().merged(random_weights(3)):
            texts = generating.by_transformers(base, generating.prompts(base, lengths))
    written = [next((i + 1 for i, token in enumerate(text) if token in ends), len(text)) for text in texts]
    assert len(set(written)) > 1
    assert sum(written) == tokens
    assert base.model.generation_config.eos_token_id == before


def test_bench_generating_reads_each_matrix_that_a_token_multiplies_once(bench):
    model = bench.base.model
    tied = model.config.tie_word_embeddings
    linear = [m.weight for m in model.modules() if isinstance(m, torch.nn.Linear)]
    found = generating.weights_read(bench.base)
    assert sum(each.numel() for each in found) == sum(each.numel() for each in linear)
    assert len({each.data_ptr() for each in found}) == len(found)
    assert tied == any(each.data_ptr() == model.get_input_embeddings().weight.data_ptr() for each in found)
