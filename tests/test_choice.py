"""The objective `choice`: what it minimises is what an evaluation measures, one plain forward for each option."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from mdkif import BadInput
from mdkif.core.contract.declarations import Task
from mdkif.core.inference.predict import Answering, predict
from mdkif.core.routing.objective import adaptation_objective
from mdkif.core.routing.optimizer import AdaptSettings
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from verbs import bank_of, task_encoder

SKILLS = ("qa", "nli", "er")
WEIGHTS = {"qa": 0.7, "nli": -0.4, "er": 0.5}
NORMALISERS = ["sum", "token-mean", "character", "pmi"]


@pytest.fixture
def choosing(ready, examples):
    """A function that makes the objective of a task like pubmedqa, some of its declaration or settings changed."""

    def choosing(rows=None, objective="choice", declared=None, **settings):
        task = replace(ready.plugins.get(Task, "pubmedqa"), **(declared or {}))
        bank = bank_of(ready, SKILLS, settings.get("granularity", "skill"))
        versions = dict.fromkeys(SKILLS, "1")
        encoder = task_encoder(ready, "pubmedqa")
        chosen = AdaptSettings(**{"objective": objective, "scale": "one", **settings})
        return adaptation_objective(ready, task, encoder, bank, versions, examples if rows is None else rows, chosen)

    return choosing


@pytest.fixture
def likelihoods(ready, examples):
    """log p of every option after its prompt, by one unpadded forward each with the dense sum in the weights."""

    @torch.no_grad()
    def likelihoods(weights, rows=tuple(examples)):
        found = []
        with bank_of(ready, list(weights)).merged(torch.tensor(list(weights.values()))):
            for row in rows:
                own = []
                for option in row.options:
                    logits = ready.base.model(input_ids=torch.tensor([[*row.prompt, *option]])).logits[0]
                    logp = torch.log_softmax(logits[len(row.prompt) - 1 : -1].double(), -1)
                    own.append(logp.gather(1, torch.tensor(option)[:, None]).sum().item())
                found.append(own)
        return found

    return likelihoods


@pytest.fixture
def scored(ready, examples, likelihoods):
    """Every record's scores by a normaliser before any softmax, in nats of an option of mean length."""

    def scored(weights, normaliser, rows=tuple(examples)):
        scores = np.array(likelihoods(weights, rows))
        lengths = np.array([[len(option) for option in row.options] for row in examples])
        if normaliser == "character":
            template = task_encoder(ready, "pubmedqa").template
            lengths = np.array(
                [[len(template.answer_affixes(row.record)[0] + o) for o in row.record.options] for row in examples]
            )
        if normaliser in ("sum", "pmi"):
            lengths = np.ones_like(lengths)
        if normaliser == "pmi":
            encoder = task_encoder(ready, "pubmedqa")
            bare = list(encoder.encode(replace(row.record, context="") for row in rows))
            scores = scores - np.array(likelihoods(weights, bare))
        own = lengths[[examples.index(row) for row in rows]]
        return scores / own * lengths.mean()

    return scored


def calibrated(scores, rows):
    """The least over 1 / T of the mean cross-entropy of the right option and the prior of one record."""
    right = [row.record.options.index(row.record.labels[0]) for row in rows]

    def loss(log_slope):
        slope = math.exp(log_slope)
        logp = log_softmax(slope * scores, axis=1)
        return (-logp[np.arange(len(rows)), right].sum() + slope - 1 - log_slope) / len(rows)

    return minimize_scalar(loss, bounds=(-6, 6), method="bounded", options={"xatol": 1e-9}).fun


@pytest.mark.parametrize("normaliser", NORMALISERS)
def test_choice_is_the_calibrated_cross_entropy_of_the_scores(choosing, scored, examples, normaliser):
    own = choosing(declared={"normaliser": normaliser})
    expected = calibrated(scored(WEIGHTS, normaliser), examples)
    assert own.evaluate_weights(torch.tensor([list(WEIGHTS.values())])) == pytest.approx([expected], rel=1e-4)
    assert own.name == "choice"


@pytest.mark.parametrize("normaliser", NORMALISERS)
def test_choice_minimises_what_an_evaluation_measures(choosing, ready, examples, scored, normaliser):
    """The scores of `predict` under the blend differ from the objective's by what softmax ignores, and by a factor."""
    declared = replace(ready.plugins.get(Task, "pubmedqa"), normaliser=normaliser)
    with bank_of(ready, SKILLS).merged(torch.tensor(list(WEIGHTS.values()))):
        predictions = predict(task_encoder(ready, "pubmedqa"), examples, Answering.of(declared))
    ours = scored(WEIGHTS, normaliser)
    measured = np.array([prediction.scores for prediction in predictions])
    centred = [each - each.mean(1, keepdims=True) for each in (ours, measured)]
    factor = (centred[0] * centred[1]).sum() / (centred[1] ** 2).sum()
    np.testing.assert_allclose(centred[0], factor * centred[1], atol=2e-3)
    assert factor > 0


def test_choice_of_labels_is_the_logistic_loss_of_their_scores(choosing, likelihoods, examples):
    from scipy.optimize import minimize
    from scipy.special import log_expit

    several = [replace(e, record=replace(e.record, labels=e.record.options[: i % 3])) for i, e in enumerate(examples)]
    own = choosing(several)
    scores = np.array(likelihoods(WEIGHTS))
    scores -= scores.mean()
    signs = np.array([[1 if o in e.record.labels else -1 for o in e.record.options] for e in several])

    def loss(point):
        logits = math.exp(point[0]) * scores + point[1]
        prior = math.exp(point[0]) - 1 - point[0] - log_expit(point[1]) - log_expit(-point[1]) - 2 * math.log(2)
        return (-log_expit(signs * logits).sum() + prior) / signs.size

    expected = minimize(loss, [0.0, 0.0], method="BFGS", options={"gtol": 1e-9}).fun
    assert own.evaluate_weights(torch.tensor([list(WEIGHTS.values())])) == pytest.approx([expected], rel=1e-4)
    assert choosing(declared={"multi_label": True}).evaluate_weights(torch.zeros(1, 3)) != pytest.approx(
        choosing().evaluate_weights(torch.zeros(1, 3))
    )


@pytest.mark.parametrize("normaliser", ["sum", "pmi"])
def test_choice_of_a_part_is_that_of_these_records_alone(choosing, examples, normaliser):
    declared = {"normaliser": normaliser}
    whole, part = choosing(declared=declared), choosing([examples[1], examples[4]], declared=declared)
    point = torch.tensor([[0.0, 0.0, 0.0, 0.4, -0.2, 0.9]])
    assert whole.values(point, [1, 4]) == pytest.approx(part.values(point), rel=1e-5)
    assert whole.values(point, [4, 1]) == pytest.approx(part.values(point), rel=1e-5)
    assert whole.supports_minibatch


def test_choice_pays_for_nothing_twice(choosing):
    own = choosing(declared={"normaliser": "pmi"})
    points = torch.randn(3, 6, generator=torch.Generator().manual_seed(1))
    first = own.values(points, [0, 2, 5])
    assert own.evaluations < 3
    whole = own.values(points)
    assert own.evaluations == pytest.approx(3)
    assert own.values(points, [0, 2, 5]) == first
    again = choosing(declared={"normaliser": "pmi"})
    assert again.values(points) == whole
    assert again.evaluations == 0
    assert choosing(declared={"normaliser": "sum"}).values(points) != pytest.approx(whole)


@pytest.mark.parametrize("settings", [
    {}, {"scale": "free", "gamma": 0.3}, {"granularity": "layer"}, {"tokens": 300},
])  # fmt: skip
@pytest.mark.parametrize("normaliser", ["sum", "pmi"])
def test_choice_has_the_slope_of_its_values(choosing, settings, normaliser):
    own = choosing(declared={"normaliser": normaliser}, **settings)
    point = torch.randn(own.space.size, generator=torch.Generator().manual_seed(4)) * 0.5
    steepest = 0.0
    for rows in (None, [0, 3, 6]):
        value, gradient = own.gradient(point, rows)
        assert value == pytest.approx(own.values(point[None], rows)[0], rel=1e-5)
        steps = 0.03 * torch.eye(own.space.size)
        above, below = own.values(point + steps, rows), own.values(point - steps, rows)
        slopes = (torch.tensor(above) - torch.tensor(below)) / 0.06
        torch.testing.assert_close(gradient, slopes, rtol=5e-2, atol=0.03 * slopes.abs().max().item() + 5e-5)
        steepest = max(steepest, slopes.abs().max().item())
    assert steepest > 1e-3


def test_choice_has_a_surrogate_that_is_exact_where_blends_were_evaluated(choosing):
    own = choosing()
    draw = torch.Generator().manual_seed(3)
    near = torch.randn(6, generator=draw)
    forecast = own.surrogate(own.space.weights(near))
    [value] = own.values(near[None])
    corrected = own.surrogate(own.space.weights(near))
    assert abs(float(corrected(near)) - value) <= max(1e-3, 0.2 * abs(float(forecast(near)) - value))
    leaf = torch.zeros(6).requires_grad_(True)
    before = own.evaluations
    corrected(leaf).backward()
    assert own.evaluations == before
    _, exact = own.gradient(torch.zeros(6))
    assert torch.cosine_similarity(leaf.grad, exact, dim=0) > 0.8


def test_choice_is_what_auto_means_where_records_list_options(choosing, examples):
    free = [replace(each, options=(), record=replace(each.record, options=(), labels=())) for each in examples]
    assert choosing(objective="auto").name == "choice"
    assert choosing(free, objective="auto").name == "cross-entropy"
    assert choosing([*examples[:-1], free[-1]], objective="auto").name == "cross-entropy"
    with pytest.raises(BadInput, match="objective cannot be 'choice': the task 'pubmedqa' offers cross-entropy, acc"):
        choosing(free)


def test_choice_refuses_prompts_beyond_the_attentions_window(choosing, ready, monkeypatch):
    monkeypatch.setattr(ready.base.model.config, "sliding_window", 8, raising=False)
    with pytest.raises(BadInput, match="longer than the attention window of 'tiny'"):
        choosing()
