"""What is measured of each label, against lm-eval's definitions computed by transformers alone, and reports."""

import json
import math
import random
from dataclasses import replace
from typing import get_args

import pytest
import torch
from mdkif import BadInput, Record, Skill, Task
from mdkif.core.contract.declarations import Normaliser
from mdkif.core.data.labels import format_choices
from mdkif.core.inference.scoring import option_tokens
from verbs import evaluate, predict, task_encoder

CLOSE = {"rel": 1e-4, "abs": 1e-4}
OPTIONS = ("yes", "no", "probably not", "benign lesion of the liver")


def encode_pair(tokenizer, context, continuation):
    """lm-eval's `TemplateLM._encode_pair` for a causal model."""
    spaces = len(context) - len(context.rstrip())
    if spaces > 0:
        continuation = context[-spaces:] + continuation
        context = context[:-spaces]
    whole, before = tokenizer(context + continuation)["input_ids"], tokenizer(context)["input_ids"]
    return before, whole[len(before) :]


@torch.no_grad()
def loglikelihood(base, context, continuation):
    """The log-likelihood of each token of a continuation, as lm-eval gathers them."""
    before, after = encode_pair(base.tokenizer, context, continuation)
    logits = base.model(input_ids=torch.tensor([[*before, *after]])).logits[0]
    logp = torch.log_softmax(logits.double(), -1)[len(before) - 1 : -1]
    return logp.gather(1, torch.tensor(after)[:, None])[:, 0].tolist()


def measured(base, encoder, record, options, context):
    """(sums, tokens) of the options; in a chat lm-eval counts the newline that ends the prompt among the answer's."""
    text = encoder.text(encoder.template.render(replace(record, context=context)))
    newline = len(text) - len(text.rstrip())
    delimiter = "" if newline else " "
    each = [loglikelihood(base, text, delimiter + option)[newline:] for option in options]
    return [math.fsum(one) for one in each], [len(one) for one in each]


def log_softmax(scores):
    return torch.log_softmax(torch.tensor(scores, dtype=torch.float64), 0).tolist()


@pytest.mark.parametrize("format", ["plain", "chat"])
@pytest.mark.parametrize("normaliser", get_args(Normaliser))
def test_evaluate_normaliser_is_lm_evals_or_its_own_definition(
    workspace, base, encoder_for, questions, format, normaliser
):
    """acc, acc_norm and acc_mutual_info of lm-eval's multiple choice, and the mean per token."""
    task = replace(workspace.plugins.get(Task, "pubmedqa"), normaliser=normaliser)
    encoder, records = encoder_for(base, format=format), questions(4, OPTIONS)
    for record, found in zip(records, predict(workspace, task, encoder, list(encoder.encode(records))), strict=True):
        sums, tokens = measured(base, encoder, record, OPTIONS, record.context)
        bare, _ = measured(base, encoder, record, OPTIONS, "")
        definitions = {
            "sum": sums,
            "token-mean": [total / count for total, count in zip(sums, tokens, strict=True)],
            "character": [total / len(option) for total, option in zip(sums, OPTIONS, strict=True)],
            "pmi": [total - without for total, without in zip(sums, bare, strict=True)],
        }
        of = found.likelihoods
        assert of.sums == pytest.approx(sums, **CLOSE)
        assert of.tokens == tuple(tokens)
        assert of.characters == tuple(map(len, OPTIONS))
        assert of.unconditional == (pytest.approx(bare, **CLOSE) if normaliser == "pmi" else ())
        assert found.scores == pytest.approx(log_softmax(definitions[normaliser]), **CLOSE)
        assert found.text == OPTIONS[max(range(len(OPTIONS)), key=definitions[normaliser].__getitem__)]


def test_evaluate_normalisers_differ_where_labels_differ_in_length(workspace, base, encoder_for, questions):
    encoder = encoder_for(base)
    rows = list(encoder.encode(questions(1, OPTIONS)))
    task = workspace.plugins.get(Task, "pubmedqa")
    scores = {predict(workspace, replace(task, normaliser=n), encoder, rows)[0].scores for n in get_args(Normaliser)}
    assert len(scores) == len(get_args(Normaliser))


def test_evaluate_counts_what_a_template_writes_around_a_label_as_its_text(workspace, base, questions):
    folder = workspace.store.templates
    folder.mkdir(parents=True)
    (folder / "pubmedqa.jinja").write_text(
        '{% extends "question-answering.jinja" %}{% block answer %}It is {{ answer }}{% endblock %}'
    )
    task = workspace.plugins.get(Task, "pubmedqa")
    encoder = task_encoder(workspace, "pubmedqa", 256)
    [record] = questions(1, OPTIONS)
    [found] = predict(workspace, task, encoder, list(encoder.encode([record])))
    written = [f"It is {option}" for option in OPTIONS]
    assert found.likelihoods.characters == tuple(map(len, written))
    assert found.likelihoods.sums == pytest.approx(measured(base, encoder, record, written, record.context)[0], **CLOSE)


def test_evaluate_reads_one_question_once_without_contexts_and_mistakes_no_labels(workspace, base, encoder_for):
    """The key is the prompt with its options: here three records ask the same, two with options in another order."""
    fields = [
        format_choices("Is it safe?", options, ["yes"]) for options in (("yes", "no"), ("yes", "no"), ("no", "yes"))
    ]
    records = [
        Record(id=str(i), context=f"Trial {i}.", **{**each, "query": "Is it safe?"}) for i, each in enumerate(fields)
    ]
    encoder = encoder_for(base)
    task = replace(workspace.plugins.get(Task, "pubmedqa"), normaliser="pmi")
    read = []
    handle = base.model.model.embed_tokens.register_forward_hook(lambda _, given, __: read.append(len(given[0])))
    try:
        first, second, turned = predict(workspace, task, encoder, list(encoder.encode(records)))
    finally:
        handle.remove()
    assert sum(read) == len(records) + 2
    assert first.likelihoods.unconditional == second.likelihoods.unconditional
    assert turned.likelihoods.unconditional == pytest.approx(first.likelihoods.unconditional[::-1], **CLOSE)
    assert first.likelihoods.unconditional[0] != pytest.approx(first.likelihoods.unconditional[1], **CLOSE)


def test_predict_answers_in_the_order_asked_and_pads_little_of_it(workspace, base, encoder_for):
    """300 questions of any length in any order: what the model reads is hardly more than what they hold."""
    encoder, draw = encoder_for(base), random.Random(0)
    records = [
        Record(
            id=str(i), context=" ".join(["fever"] * draw.randint(0, 120)), **format_choices("Safe?", OPTIONS, ["no"])
        )
        for i in range(300)
    ]
    rows = list(encoder.encode(records))
    task = workspace.plugins.get(Task, "pubmedqa")
    read = []
    handle = base.model.model.embed_tokens.register_forward_hook(lambda _, given, __: read.append(given[0].numel()))
    try:
        found = predict(workspace, task, encoder, rows)
    finally:
        handle.remove()
    assert [each.id for each in found] == [record.id for record in records]
    assert sum(read) < 1.1 * sum(map(option_tokens, rows))
    for i in (0, 7, 299):
        [alone] = predict(workspace, task, encoder, rows[i : i + 1])
        assert found[i].likelihoods.sums == pytest.approx(alone.likelihoods.sums, **CLOSE)


def report(done):
    text = done.report.read_text(encoding="utf-8")
    return text, json.loads(text)


@pytest.mark.parametrize("normaliser", [None, "character", "pmi"])
def test_evaluate_report_holds_what_every_score_was_made_of_and_no_label(workspace, pubmedqa, normaliser):
    [done] = evaluate(workspace, "pubmedqa", {"pubmedqa": pubmedqa}, ["base"], limit=5, normaliser=normaliser)
    text, body = report(done)
    assert body["normaliser"] == done.normaliser == (normaliser or "sum")
    assert len(body["records"]) == done.n == 5
    for row in body["records"]:
        divided = [total / count for total, count in zip(row["sums"], row["tokens"], strict=True)]
        assert row["token_means"] == pytest.approx(divided, abs=1e-4)
        characters = [total / mean for total, mean in zip(row["sums"], row["character_means"], strict=True)]
        assert sorted(characters) == pytest.approx(sorted(map(len, ("yes", "no", "maybe"))), rel=1e-3)
        gap = [total - without for total, without in zip(row["sums"], row["unconditional"], strict=False)]
        made_of = {None: row["sums"], "character": row["character_means"], "pmi": gap}[normaliser]
        assert row["scores"] == pytest.approx(log_softmax(made_of), abs=1e-3)
    assert not [word for word in ("yes", "maybe", "Does ", "help", "fever") if word in text]


def test_evaluate_normaliser_nobody_knows_is_refused_with_the_nearest(workspace, pubmedqa):
    with pytest.raises(BadInput, match=r"normaliser.*'characters'.*character"):
        evaluate(workspace, "pubmedqa", {"pubmedqa": pubmedqa}, ["base"], normaliser="characters")


def test_evaluate_names_no_normaliser_where_no_label_is_scored(workspace, pubmedqa, base, encoder_for):
    [done] = evaluate(workspace, "pubmedqa", {"pubmedqa": pubmedqa}, ["base"], limit=2, answer="span")
    assert done.normaliser is None
    _, body = report(done)
    assert body["normaliser"] is None
    assert all(set(row) == {"id", "gold", "scores", "labels", "group"} for row in body["records"])
    encoder = encoder_for(base)
    free = list(encoder.encode([Record(id="r", query="Why?", answer="So.")]))
    [generated] = predict(workspace, workspace.plugins.get(Skill, "qa"), encoder, free)
    assert generated.likelihoods is None
