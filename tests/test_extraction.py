"""Extraction of listed labels, against constrained generation by transformers; and what a template makes of it."""

from itertools import permutations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mdkif import BadInput, Record, Task, format_choices, parse_choices
from mdkif.core.inference.constrained import extract, greedy
from mdkif.core.inference.scoring import option_scores, token_scores
from verbs import evaluate, predict, task_encoder

LABELS = ("asthma", "asthma of the old", "gout", "heart failure", "fever; chills")


def written(base, prompt, allowed, longest=60):
    """What transformers' own generate writes, each next token among those `allowed` returns for what was written."""
    ids = torch.tensor([prompt])
    out = base.model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=longest,
        do_sample=False,
        pad_token_id=base.pad,
        prefix_allowed_tokens_fn=lambda _row, so_far: allowed(tuple(so_far[len(prompt) :].tolist())),
    )
    return tuple(out[0, len(prompt) :].tolist())


def along(paths):
    """The tokens that continue any of the paths."""

    def allowed(so_far):
        return sorted(
            {path[len(so_far)] for path in paths if path[: len(so_far)] == so_far and len(path) > len(so_far)}
        )

    return allowed


@pytest.mark.parametrize("format", ["chat", "plain"])
def test_extract_writes_one_label_as_constrained_generation_does(base, encoder_for, questions, format):
    encoder = encoder_for(base, format=format)
    rows = list(encoder.encode(questions(6, LABELS, seed=3)))
    for row, found in zip(rows, extract(encoder, rows), strict=True):
        paths = {option + encoder.end(): label for option, label in zip(row.options, LABELS, strict=True)}
        assert found == (paths[written(base, row.prompt, along(list(paths)))],)


def test_extract_writes_several_labels_as_constrained_generation_does(base, encoder_for, questions):
    """The paths of every list without repetition, up to three labels."""
    labels = ("asthma", "gout", "sepsis")
    encoder = encoder_for(base)
    end, [separator] = encoder.end(), encoder.token_ids([";"])
    rows = list(encoder.encode(questions(8, labels, seed=5)))
    for row, found in zip(rows, extract(encoder, rows, multi_label=True), strict=True):
        first = dict(zip(labels, row.options, strict=True))
        paths = {encoder.token_ids([encoder.start() + "none"])[0] + end: ()}
        for listed in (p for size in (1, 2, 3) for p in permutations(labels, size)):
            rest = [separator + encoder.token_ids([f" {label}"])[0] for label in listed[1:]]
            paths[sum(rest, first[listed[0]]) + end] = listed
        assert found == paths[written(base, row.prompt, along(list(paths)))]


OPTION = st.lists(st.integers(0, 3), min_size=1, max_size=4).map(tuple)


@given(options=st.lists(OPTION, min_size=1, max_size=6, unique=True), data=st.data())
def test_extract_greedy_takes_the_likeliest_token_at_every_node(options, data):
    """Against a walk over prefixes; the trie's own probabilities, so equal prefixes have equal ones."""
    known = {}
    for option in options:
        for depth in range(len(option)):
            prefix = option[: depth + 1]
            known.setdefault(
                prefix, data.draw(st.floats(-9, 0, allow_nan=False).filter(lambda x: x not in known.values()))
            )
    so_far = ()
    while so_far not in options:
        so_far = max((prefix for prefix in known if prefix[:-1] == so_far), key=known.get)
    logp = [[known[option[: depth + 1]] for depth in range(len(option))] for option in options]
    assert options[greedy(options, logp)] == so_far


def test_extract_scores_are_the_sums_of_the_tokens(base, encoder_for, questions):
    rows = list(encoder_for(base).encode(questions(4, LABELS)))
    each = token_scores(base, rows)
    assert [[len(option) for option in row] for row in each] == [[len(o) for o in row.options] for row in rows]
    for row, total in zip(each, option_scores(base, rows), strict=True):
        assert [sum(option) for option in row] == pytest.approx(total)


def test_extract_finds_nothing_without_options(base, encoder_for):
    encoder = encoder_for(base)
    rows = list(encoder.encode([Record(id="1", query="Why?", answer="So.")]))
    assert extract(encoder, rows) == [()]


def test_extract_predictions_say_what_was_extracted(workspace, plugins, questions):
    task = plugins.get(Task, "icd-coding")
    encoder = task_encoder(workspace, "icd-coding", 256)
    rows = list(encoder.encode(questions(5, ("asthma", "gout"))))
    for prediction in predict(workspace, task, encoder, rows, "span"):
        assert prediction.scores == ()
        assert set(prediction.labels) <= {"asthma", "gout"}
        assert parse_choices(prediction.text, prediction.options) == tuple(sorted(prediction.labels))


def test_evaluate_by_spans_has_no_scores_but_the_metrics_of_labels(workspace, pubmedqa):
    [scored] = evaluate(workspace, "pubmedqa", {"pubmedqa": pubmedqa}, ["base"])
    [spans] = evaluate(workspace, "pubmedqa", {"pubmedqa": pubmedqa}, ["base"], answer="span")
    assert "auroc" in scored.metrics
    assert {"accuracy", "macro_f1"} <= set(spans.metrics)
    assert not {"auroc", "log_loss"} & set(spans.metrics)
    assert spans.metrics["accuracy"] == pytest.approx(scored.metrics["accuracy"], abs=0.5)


def test_extract_template_frames_every_label(workspace, plugins, questions):
    """A user's own wording of the answer is part of what is scored and extracted."""
    folder = workspace.store.templates
    folder.mkdir(parents=True)
    framed = '{% extends "instruction.jinja" %}{% block answer %}It is {{ answer }}, surely{% endblock %}'
    (folder / "pubmedqa.jinja").write_text(framed)
    encoder = task_encoder(workspace, "pubmedqa", 256)
    [row] = encoder.encode(questions(1, ("yes", "no")))
    texts = [workspace.base.tokenizer.decode(option) for option in row.options]
    assert [text.strip() for text in texts] == ["It is yes", "It is no"]
    assert extract(encoder, [row])[0] in (("yes",), ("no",))
    record = row.record
    assert encoder.template.parse_answer("It is no, surely", record) == "no"
    assert encoder.template.parse_answer(" no ", record) == "no"


@pytest.mark.parametrize("block", ["always the same", "{{ answer }} and {{ answer }}"])
def test_extract_template_whose_answer_cannot_be_read_back_is_refused(workspace, plugins, questions, block):
    folder = workspace.store.templates
    folder.mkdir(parents=True)
    text = f'{{% extends "instruction.jinja" %}}{{% block answer %}}{block}{{% endblock %}}'
    (folder / "pubmedqa.jinja").write_text(text)
    encoder = task_encoder(workspace, "pubmedqa", 256)
    with pytest.raises(BadInput, match=r"block 'answer' of the template 'pubmedqa\.jinja' must write"):
        list(encoder.encode(questions(1, ("yes", "no"))))


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ue000")).map(str.strip))
def test_extract_reading_inverts_rendering(plugins, answer):
    from mdkif.core.prompts.templates import Template

    template = Template.of(plugins.get(Task, "pubmedqa"))
    record = Record(id="1", query=format_choices("Is it?", ["yes", "no"], ["yes"])["query"], answer=answer)
    assert template.parse_answer(template.render(record).answer, record) == answer
