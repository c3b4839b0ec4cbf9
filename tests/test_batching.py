"""Batches: budgets, orders, and left padding that changes nothing."""

from itertools import islice, pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mdkif import Record
from mdkif.core.inference.likelihood import answer_loss, mean_loss
from mdkif.core.prompts.batching import budgeted, collate, shuffled
from mdkif.core.prompts.encoding import Encoded

LENGTHS = st.lists(st.integers(1, 50), max_size=60)
CPU = torch.device("cpu")


def row(prompt, answer):
    return Encoded(Record(id="r", query="q", answer="a"), tuple(prompt), tuple(answer))


@pytest.fixture
def rows():
    draw = torch.Generator().manual_seed(4)
    shapes = ((3, 1), (40, 5), (12, 12), (1, 2), (25, 1))
    return [row(*(torch.randint(3, 600, (n,), generator=draw).tolist() for n in shape)) for shape in shapes]


@given(LENGTHS, st.integers(1, 200))
def test_budgeted_holds_every_index_once_and_keeps_the_budget(lengths, tokens):
    batches = list(budgeted(lengths, tokens))
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    assert all(batch for batch in batches)
    assert all(len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= tokens for batch in batches)


@given(LENGTHS, st.integers(1, 200))
def test_budgeted_closes_no_batch_that_had_room(lengths, tokens):
    batches = list(budgeted(lengths, tokens))
    for batch, following in pairwise(batches):
        assert (len(batch) + 1) * lengths[following[0]] > tokens


@given(LENGTHS.filter(len), st.integers(1, 9), st.integers(0, 5))
def test_epochs_are_permutations_and_a_seed_repeats_them(lengths, size, seed):
    per_epoch = sum(-(-min(size * 8, len(lengths) - start) // size) for start in range(0, len(lengths), size * 8))
    epochs = list(islice(shuffled(lengths, size, seed), 2 * per_epoch))
    for epoch in (epochs[:per_epoch], epochs[per_epoch:]):
        assert sorted(i for batch in epoch for i in batch) == list(range(len(lengths)))
        assert all(1 <= len(batch) <= size for batch in epoch)
    assert list(islice(shuffled(lengths, size, seed), 2 * per_epoch)) == epochs


def test_epochs_and_seeds_differ():
    first, second, other = (
        list(islice(shuffled([1] * 64, 4, seed), start, start + 16)) for seed, start in ((0, 0), (0, 16), (1, 0))
    )
    assert first != second
    assert first != other


def test_batches_hold_similar_lengths():
    lengths = [(i * 37) % 64 + 1 for i in range(64)]
    batches = list(islice(shuffled(lengths, 8, 0), 8))
    assert max(max(lengths[i] for i in b) - min(lengths[i] for i in b) for b in batches) == 7


def test_collate_pads_on_the_left_and_counts_positions_from_the_first_token():
    batch = collate([row([11, 12, 13], [21]), row([14], [22, 23])], 9, CPU)
    assert batch.ids.tolist() == [[11, 12, 13, 21], [9, 14, 22, 23]]
    assert batch.mask.tolist() == [[1, 1, 1, 1], [0, 1, 1, 1]]
    assert batch.positions.tolist() == [[0, 1, 2, 3], [0, 0, 1, 2]]
    assert batch.targets.tolist() == [[-100, -100, -100, 21], [-100, -100, 22, 23]]
    assert batch.keep == 2


@torch.no_grad()
def by_hand(base, example):
    """-sum log p of the answer's tokens, from a forward over one unpadded row."""
    logits = base.model(input_ids=torch.tensor([example.prompt + example.answer])).logits[0].double()
    logp = torch.log_softmax(logits, -1)
    start = len(example.prompt)
    return -sum(logp[start + i - 1, token].item() for i, token in enumerate(example.answer))


def test_answer_loss_is_the_cross_entropy_of_the_answers_computed_row_by_row(base, rows):
    batch = collate(rows, base.pad, CPU)
    expected = [by_hand(base, example) for example in rows]
    with torch.no_grad():
        assert answer_loss(base.model, batch, "rows").tolist() == pytest.approx(expected, rel=1e-4)
        mean = answer_loss(base.model, batch).item()
    assert mean == pytest.approx(sum(expected) / sum(len(e.answer) for e in rows), rel=1e-4)


def test_answer_loss_is_transformers_own_loss_on_the_answers_labels(base, rows):
    batch = collate(rows, base.pad, CPU)
    with torch.no_grad():
        theirs = base.model(
            input_ids=batch.ids, attention_mask=batch.mask, position_ids=batch.positions, labels=batch.targets
        ).loss
        torch.testing.assert_close(answer_loss(base.model, batch), theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("extra", [0, 1, 30])
def test_left_padding_and_the_padding_token_change_no_loss(base, rows, extra):
    wide = row(range(10, 50 + extra), [5])
    expected = [by_hand(base, example) for example in rows]
    for pad in (base.pad, 7):
        with torch.no_grad():
            found = answer_loss(base.model, collate([*rows, wide], pad, CPU), "rows")[:-1].tolist()
        assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("tokens", [1, 60, 4096])
def test_mean_loss_weighs_every_answer_token_alike_in_any_batches(base, rows, tokens):
    expected = sum(by_hand(base, e) for e in rows) / sum(len(e.answer) for e in rows)
    assert mean_loss(base, rows, tokens) == pytest.approx(expected, rel=1e-4)
    assert mean_loss(base, []) is None
