"""Many prompts decoded together write what transformers' own greedy search writes for each by itself."""

from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mdkif.core.adapters.bank import SkillBank
from mdkif.core.adapters.peft_files import read_adapter
from mdkif.core.data.records import Record
from mdkif.core.inference.decoding import continuations, decodes_plainly
from mdkif.core.inference.generation import generate
from mdkif.core.prompts.encoding import Encoded


def by_transformers(base, prompt, new):
    """One prompt at a time, the end mark left out."""
    ids = torch.tensor([list(prompt)])
    out = base.model.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=new, do_sample=False, pad_token_id=base.pad
    )
    return tuple(token for token in out[0, len(prompt) :].tolist() if token not in ends(base))


def ends(base):
    end = base.model.generation_config.eos_token_id
    return {end} if isinstance(end, int) else set(end or ())


PROMPTS = st.lists(st.lists(st.integers(5, 500), min_size=1, max_size=30), min_size=1, max_size=9)


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PROMPTS, st.integers(1, 9), st.integers(1, 200), st.sets(st.integers(0, 599), max_size=60))
def test_decoding_of_any_prompts_in_any_number_of_places_is_that_of_transformers(base, prompts, new, tokens, stops):
    before = base.model.generation_config.eos_token_id
    base.model.generation_config.eos_token_id = sorted(stops) or None
    try:
        assert decodes_plainly(base)
        found = continuations(base, prompts, new, tokens)
        assert found == [by_transformers(base, prompt, new) for prompt in prompts]
    finally:
        base.model.generation_config.eos_token_id = before


def test_decoding_of_a_blend_is_that_of_transformers(base, adapters):
    bank = SkillBank(base.model, {name: read_adapter(folder) for name, folder in adapters.items()})
    prompts = [[5 + i, 17, 40 + 3 * i][: 1 + i % 3] for i in range(7)]
    with bank.blend(torch.tensor([0.7, -0.4, 1.3])):
        found = continuations(base, prompts, 6, 40)
        assert found == [by_transformers(base, prompt, 6) for prompt in prompts]
    assert found != continuations(base, prompts, 6, 40)


def test_decoding_gives_a_place_to_the_next_prompt_as_soon_as_a_text_ends(base, monkeypatch):
    """Of 12 prompts in 4 places half end at once: fewer passes than batches that wait for their longest need."""
    prompts = [[9 + i, 30 + i] for i in range(12)]
    first = {by_transformers(base, prompt, 1) for prompt in prompts[::2]}
    monkeypatch.setattr(base.model.generation_config, "eos_token_id", [token for each in first for token in each])
    read = []
    handle = base.model.model.embed_tokens.register_forward_hook(lambda _, given, __: read.append(given[0].shape))
    try:
        found = continuations(base, prompts, 8, 4 * 10)
    finally:
        handle.remove()
    assert all(shape[0] <= 4 for shape in read)
    singles = [shape for shape in read if shape[1] == 1]
    tokens = sum(shape[0] for shape in singles)
    assert tokens == sum(min(8, len(each) + 1) - 1 for each in found)
    assert len(singles) < 3 * 7


def test_decoding_of_nothing_is_nothing(base):
    assert continuations(base, [], 5) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("repetition_penalty", 1.1), ("no_repeat_ngram_size", 2), ("suppress_tokens", [7]), ("num_beams", 2)],
)
def test_generation_of_a_model_with_habits_of_its_own_is_left_to_transformers(base, monkeypatch, name, value):
    assert decodes_plainly(base)
    monkeypatch.setattr(base.model.generation_config, name, value)
    assert not decodes_plainly(base)
    prompts = [(5, 6, 7), (8, 9)]
    rows = [Encoded(Record(id="1", query="", answer=""), prompt, ()) for prompt in prompts]
    expected = [base.tokenizer.decode(by_transformers(base, p, 6), skip_special_tokens=True).strip() for p in prompts]
    assert generate(base, rows, 6) == expected


def test_generation_within_a_sliding_window_is_left_to_transformers(base, monkeypatch):
    monkeypatch.setattr(base.model.config, "sliding_window", 8, raising=False)
    assert not decodes_plainly(base)


class Lines:
    """A tokenizer for whom every e is a line's end, since the tiny model hardly ever writes one."""

    def __init__(self, tokenizer):
        self._tokenizer, self.pad_token_id, self.eos_token_id = tokenizer, 0, tokenizer.eos_token_id

    def decode(self, ids, **options):
        return self._tokenizer.decode(ids, **options).replace("e", "\n")


def rows(count):
    return [Encoded(Record(id=str(i), query="", answer=""), (5 + i, 40 + i), ()) for i in range(count)]


@pytest.mark.parametrize("tokens", [40, 4096])
def test_generation_of_a_first_line_is_the_beginning_of_the_whole_text(base, tokens):
    own = replace(base, tokenizer=Lines(base.tokenizer))
    whole = generate(own, rows(40), 12, tokens)
    lines = generate(own, rows(40), 12, tokens, first_line=True)
    assert lines == [text.partition("\n")[0].rstrip() for text in whole]
    assert sum("\n" in text for text in whole) > 10


def test_generation_of_a_first_line_reads_no_token_beyond_it(base):
    own, read = replace(base, tokenizer=Lines(base.tokenizer)), []
    handle = base.model.model.embed_tokens.register_forward_hook(lambda _, given, __: read.append(given[0].numel()))
    try:
        generate(own, rows(40), 12)
        whole = sum(read)
        generate(own, rows(40), 12, first_line=True)
    finally:
        handle.remove()
    texts = [Lines(base.tokenizer).decode(each) for each in continuations(base, [r.prompt for r in rows(40)], 12)]
    assert any("\n" in text.strip() for text in texts)
    assert sum(read) - whole < 0.8 * whole


def test_first_line_of_a_model_that_transformers_decodes_is_cut_too(base, monkeypatch):
    own = replace(base, tokenizer=Lines(base.tokenizer))
    lines = generate(own, rows(20), 12, first_line=True)
    monkeypatch.setattr(base.model.config, "sliding_window", 4096, raising=False)
    assert not decodes_plainly(base)
    assert generate(own, rows(20), 12, first_line=True) == lines
