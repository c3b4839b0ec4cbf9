"""Label scores against one plain forward per prompt and option, and generation against one row at a time."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mdkif import Record
from mdkif.core.encoding import Encoded
from mdkif.core.scoring import generate, normalised, option_scores

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


def test_the_order_of_options_does_not_change_their_scores(base, rows):
    for row_ in rows:
        turned = row(row_.prompt, *row_.options[::-1])
        assert option_scores(base, [row_])[0] == pytest.approx(option_scores(base, [turned])[0][::-1], **CLOSE)


def test_one_token_options_are_a_distribution(base):
    everything = row(ids(1, 6), *[[token] for token in range(base.model.config.vocab_size)])
    assert math.fsum(map(math.exp, option_scores(base, [everything])[0])) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("format", ["chat", "plain"])
def test_encoded_records_score_as_their_joint_tokens(base, encoder_for, questions, format):
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
    from mdkif.core.adapters import read_adapter
    from mdkif.core.bank import SkillBank

    bank = SkillBank(base.model, {"qa": read_adapter(adapters["qa"])})
    with bank.blend(torch.ones(1)):
        blended = option_scores(base, rows)
    with bank.merged(torch.ones(1)):
        expected = [[plainly(base, r.prompt, option) for option in r.options] for r in rows]
    for scores, same, bare in zip(blended, expected, option_scores(base, rows), strict=True):
        assert scores == pytest.approx(same, **CLOSE)
        assert scores != pytest.approx(bare, rel=1e-3)


def test_no_rows_have_no_scores(base):
    assert option_scores(base, []) == []


def test_normalisers_by_hand():
    raw, lengths, bare = (-2.0, -6.0, -3.0), (1, 4, 2), (-1.0, -7.0, -3.5)

    def log_softmax(scores):
        total = math.log(math.fsum(map(math.exp, scores)))
        return [score - total for score in scores]

    assert normalised(raw, lengths, None, "sum") == pytest.approx(log_softmax(raw))
    assert normalised(raw, lengths, None, "token-mean") == pytest.approx(log_softmax([-2.0, -1.5, -1.5]))
    assert normalised(raw, lengths, bare, "pmi") == pytest.approx(log_softmax([-1.0, 1.0, 0.5]))


@given(st.lists(st.floats(-300, 0), min_size=1, max_size=12))
def test_normalised_scores_are_log_probabilities_in_the_same_order(raw):
    scores = normalised(raw, [1] * len(raw), None, "sum")
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
