"""Label scores against one plain forward per prompt and option, and generation against one row at a time."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mdkif import Record
from mdkif.core.inference.generation import generate
from mdkif.core.inference.predictions import Likelihoods
from mdkif.core.inference.scoring import normalised, option_scores
from mdkif.core.prompts.encoding import Encoded

CLOSE = {"rel": 1e-4, "abs": 1e-4}


@torch.no_grad()
def plainly(base, prompt, option):
    """Sum of log p of an option's tokens, from one forward over prompt + option and nothing else."""
    ids = torch.tensor([[*prompt, *option]])
    logp = torch.log_softmax(base.model(input_ids=ids).logits[0].double(), -1)
    return sum(logp[len(prompt) + i - 1, token].item() for i, token in enumerate(option))


def row(prompt, *options):
    return Encoded(Record(id="r", query="q", answer="a"), tuple(prompt), (2,), tuple(map(tuple, options)))


def ids(seed, length):
    return torch.randint(3, 600, (length,), generator=torch.Generator().manual_seed(seed)).tolist()


@pytest.fixture
def rows():
    """Prompts of very different lengths; options of one and of many tokens, and some that begin alike."""
    shared = ids(90, 3)
    return [
        row(ids(1, 5), ids(2, 1), ids(3, 1), ids(4, 1)),
        row(ids(5, 33), ids(6, 4), ids(7, 1), ids(8, 7)),
        row(ids(9, 1), ids(10, 2), ids(11, 2)),
        row(ids(12, 17), shared, [*shared, 5], [*shared, 5, 9, 11], [*shared[:2], 7]),
        row(ids(13, 8), [4], [4, 4], [4, 4, 4]),
        row(ids(14, 60), ids(15, 3)),
    ]


def test_scores_are_those_of_one_forward_per_prompt_and_option(base, rows):
    found = option_scores(base, rows)
    for row_, scores in zip(rows, found, strict=True):
        expected = [plainly(base, row_.prompt, option) for option in row_.options]
        assert scores == pytest.approx(expected, **CLOSE)
        assert len(set(scores)) == len(scores)


@pytest.mark.parametrize("budget", [1, 64, 100, 300, 100_000])
def test_scores_do_not_depend_on_the_batch(base, rows, budget):
    expected = option_scores(base, rows)
    for scores, same in zip(expected, option_scores(base, rows, tokens=budget), strict=True):
        assert scores == pytest.approx(same, **CLOSE)
    backwards = option_scores(base, rows[::-1], tokens=budget)[::-1]
    for scores, same in zip(expected, backwards, strict=True):
        assert scores == pytest.approx(same, **CLOSE)


LABEL = st.lists(st.sampled_from([5, 9, 11]), min_size=1, max_size=5)


@settings(max_examples=25, deadline=None)
@given(
    given=st.lists(st.tuples(st.integers(1, 30), st.lists(LABEL, min_size=1, max_size=6)), min_size=1, max_size=3),
    budget=st.sampled_from([1, 40, 4096]),
)
def test_scores_of_labels_that_share_prefixes_are_those_of_each_by_itself(shared_base, given, budget):
    """Labels of three tokens only, so that most begin, repeat or continue others; documents are mixed in a batch."""
    rows = [row(ids(length, length), *options) for length, options in given]
    for row_, scores in zip(rows, option_scores(shared_base, rows, budget), strict=True):
        assert scores == pytest.approx([plainly(shared_base, row_.prompt, o) for o in row_.options], **CLOSE)


def test_scores_prompt_and_a_shared_prefix_are_read_once(base):
    read = []
    handle = base.model.model.embed_tokens.register_forward_hook(lambda _, given, __: read.append(given[0].shape))
    try:
        option_scores(base, [row(ids(1, 20), [4], [4, 5, 6], [4, 5, 7, 8], [4, 5, 7, 9], [3, 3])])
    finally:
        handle.remove()
    nodes = {(4,), (4, 5), (4, 5, 7), (3,)}
    assert read == [(1, 20 + len(nodes))]


def test_scores_order_of_options_does_not_change_their_scores(base, rows):
    for row_ in rows:
        turned = row(row_.prompt, *row_.options[::-1])
        assert option_scores(base, [row_])[0] == pytest.approx(option_scores(base, [turned])[0][::-1], **CLOSE)


def test_scores_of_one_token_options_are_a_distribution(base):
    everything = row(ids(1, 6), *[[token] for token in range(base.model.config.vocab_size)])
    assert math.fsum(map(math.exp, option_scores(base, [everything])[0])) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("format", ["chat", "plain"])
def test_scores_of_encoded_records_are_those_of_their_joint_tokens(base, encoder_for, questions, format):
    """lm-eval's convention: the option's tokens are those of prompt + option behind the prompt's."""
    encoder = encoder_for(base, format=format)
    options = ("yes", "no", "yes and no", "probably not")
    examples = list(encoder.encode(questions(5, options)))
    start = " " if format == "plain" else ""
    for example, scores in zip(examples, option_scores(base, examples), strict=True):
        text = encoder.text(encoder.template.render(example.record))
        prompt = base.tokenizer(text)["input_ids"]
        for option, score in zip(options, scores, strict=True):
            joint = base.tokenizer(text + start + option)["input_ids"]
            assert score == pytest.approx(plainly(base, prompt, joint[len(prompt) :]), **CLOSE)


def test_scores_follow_the_blend_in_the_bank(base, adapters, rows):
    from mdkif.core.adapters.bank import SkillBank
    from mdkif.core.adapters.peft_files import read_adapter

    bank = SkillBank(base.model, {"qa": read_adapter(adapters["qa"])})
    with bank.blend(torch.ones(1)):
        blended = option_scores(base, rows)
    with bank.merged(torch.ones(1)):
        expected = [[plainly(base, r.prompt, option) for option in r.options] for r in rows]
    for scores, same, bare in zip(blended, expected, option_scores(base, rows), strict=True):
        assert scores == pytest.approx(same, **CLOSE)
        assert scores != pytest.approx(bare, rel=1e-3)


def test_scores_of_no_rows_are_none(base):
    assert option_scores(base, []) == []


def log_softmax(scores):
    total = math.log(math.fsum(map(math.exp, scores)))
    return [score - total for score in scores]


MEASURED = Likelihoods(
    sums=(-2.0, -6.0, -3.0), tokens=(1, 4, 2), characters=(4, 24, 2), unconditional=(-1.0, -7.0, -3.5)
)
BY_HAND = {
    "sum": [-2.0, -6.0, -3.0],
    "token-mean": [-2.0, -1.5, -1.5],
    "character": [-0.5, -0.25, -1.5],
    "pmi": [-1.0, 1.0, 0.5],
}


@pytest.mark.parametrize("normaliser", BY_HAND)
def test_normalisers_by_hand(normaliser):
    assert normalised(MEASURED, normaliser) == pytest.approx(log_softmax(BY_HAND[normaliser]))


def test_normalisers_are_all_that_can_be_declared(plugins):
    from typing import get_args

    from mdkif.core.contract.declarations import Normaliser, Skill, Task

    assert set(get_args(Normaliser)) == set(BY_HAND)
    assert {declared.normaliser for kind in (Skill, Task) for declared, _ in plugins.all(kind)} <= set(BY_HAND)


def test_pmi_that_was_not_measured_is_refused_and_an_empty_label_is_none_to_divide_by():
    bare = Likelihoods(sums=(-1.0, 0.0), tokens=(2, 0), characters=(4, 0))
    with pytest.raises(ValueError, match="zip"):
        normalised(bare, "pmi")
    assert bare.token_means == (-0.5, 0)
    assert bare.character_means == (-0.25, 0)


@given(st.lists(st.floats(-300, 0), min_size=1, max_size=12))
def test_normalised_scores_are_log_probabilities_in_the_same_order(raw):
    ones = (1,) * len(raw)
    scores = normalised(Likelihoods(sums=tuple(raw), tokens=ones, characters=ones), "sum")
    assert math.fsum(map(math.exp, scores)) == pytest.approx(1)
    assert all(scores[i] - scores[j] == pytest.approx(raw[i] - raw[j], abs=1e-9) for i in range(len(raw)) for j in (0,))


@torch.no_grad()
def greedily(base, prompt, count):
    """The greedy continuation, one whole forward per token."""
    found = []
    for _ in range(count):
        token = int(base.model(input_ids=torch.tensor([[*prompt, *found]])).logits[0, -1].argmax())
        if token == base.tokenizer.eos_token_id:
            break
        found.append(token)
    return base.tokenizer.decode(found, skip_special_tokens=True).strip()


def test_generation_equals_one_row_at_a_time_and_is_deterministic(base):
    prompts = [row(ids(seed, length)) for seed, length in ((1, 3), (2, 40), (3, 17), (4, 1), (5, 17))]
    texts = generate(base, prompts, max_new_tokens=8)
    assert texts == generate(base, prompts, max_new_tokens=8)
    assert texts == [generate(base, [prompt], max_new_tokens=8)[0] for prompt in prompts]
    assert texts == generate(base, prompts, max_new_tokens=8, tokens=1)
    assert texts == [greedily(base, prompt.prompt, 8) for prompt in prompts]
    assert len(set(texts)) == 5


def test_generation_ends_at_the_end_mark(base, fresh):
    """With the end mark made the likeliest token everywhere, nothing is generated."""
    from dataclasses import replace

    model = fresh()
    head = model.lm_head.weight.data
    hidden = model.model(input_ids=torch.tensor([ids(1, 6)])).last_hidden_state[0, -1]
    head[base.tokenizer.eos_token_id] = 100 * hidden
    assert generate(replace(base, model=model), [row(ids(1, 6))], max_new_tokens=5) == [""]
