"""In-context learning: what the model is shown, how its answers are read, and what is counted."""

from dataclasses import replace

import pytest
from mdkif import BadInput, Record, Toolkit, demonstrated
from mdkif.testing import assert_conforms, given_to, questions
from mdkif_baseline_icl import InContextLearning


@pytest.fixture(scope="module")
def kit(tmp_path_factory):
    return Toolkit(tmp_path_factory.mktemp("store"), "tiny", dtype="float32", format="plain")


@pytest.fixture
def given(kit):
    """A function that makes what a baseline is given: invented questions of a kind, and the tiny model."""

    def given(kind, seed=0, **more):
        found = given_to(questions(kind, 6, 2), questions(kind, 20, 1), seed)
        encoder = kit.workspace.encoder(kit.workspace.template(found.task), 256)
        return replace(found, model=encoder, **more)

    return given


def test_baseline_icl_conforms():
    assert_conforms("mdkif-baseline-icl")


@pytest.mark.parametrize("kind", ["labels", "choices", "several"])
def test_icl_scores_are_those_after_the_demonstrations(given, kind):
    own = given(kind)
    found = InContextLearning(budget=400).answers(own)
    shown = demonstrated(own.encoder, own.examples, 400, own.seed)
    expected = replace(own, model=shown.encoder).predict()
    assert [each.scores for each in found] == [each.scores for each in expected]
    assert found != own.predict(), "without demonstrations"


def test_icl_counts_what_it_reads(given):
    own = given("labels")
    InContextLearning(budget=400).answers(own)
    prompts = [each.prompt for each in own.encoder.encode(own.records)]
    counts = own.counts
    assert 0 < counts["demonstration tokens"] <= 400
    assert counts["tokens read"] == pytest.approx(
        sum(map(len, prompts)) + len(prompts) * counts["demonstration tokens"], abs=len(prompts)
    )
    assert 1 <= counts["demonstrations"] <= 20


def test_icl_answers_alike_with_a_seed(given):
    scores = [[p.scores for p in InContextLearning(budget=300).answers(given("labels", seed))] for seed in (0, 0, 1)]
    assert scores[0] == scores[1] != scores[2]


def test_icl_reads_a_line_where_demonstrations_are_one(given, monkeypatch):
    own, read = given("text"), []
    monkeypatch.setattr("mdkif.core.inference.generation.generate", lambda *_, first_line, **__: read.append(first_line)
                        or ["x"] * len(own.records))  # fmt: skip
    InContextLearning().answers(own)
    longer = [Record(id=f"e{i}", query="What?", answer="one\ntwo") for i in range(3)]
    InContextLearning().answers(replace(own, examples=longer))
    assert read == [True, False]


def test_icl_budget_that_no_example_fits_is_refused(given):
    with pytest.raises(BadInput, match="None of 20 records fits into 3 tokens as a demonstration: raise the budget"):
        InContextLearning(budget=3).answers(given("labels"))
