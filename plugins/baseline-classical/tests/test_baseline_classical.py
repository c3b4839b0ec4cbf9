"""Classical baselines: against scikit-learn and PyTorch used directly, and on what can be learnt."""

import math
import random

import numpy as np
import pytest
import torch
from mdkif import BadInput, Record, format_choices
from mdkif.testing import assert_conforms, given_to, questions
from mdkif_baseline_classical.cnn import TextCNN
from mdkif_baseline_classical.encoder import EncoderHead
from mdkif_baseline_classical.problem import Problem
from mdkif_baseline_classical.sparse import Nearest, TfIdf
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

QUICK = {"epochs": 12, "dimensions": 24, "filters": 16}


def test_baseline_classical_conforms():
    assert_conforms("mdkif-baseline-classical")


def accuracy(found):
    return sum(each.text == each.gold[0] for each in found) / len(found)


def learnable(kind, examples=90, records=40):
    return given_to(questions(kind, records, 1), questions(kind, examples, 2), multi_label=kind == "several")


def words_of(records):
    return {word for each in records for word in plain(each.context).lower().replace("?", "").replace(".", "").split()}


def plain(text):
    return f"What is it? {text}"


def test_tfidf_is_scikit_learns_own_on_question_and_context():
    given = learnable("labels")
    found = TfIdf(c=0.7, ngrams=1).answers(given)
    vectorizer = TfidfVectorizer(sublinear_tf=True, token_pattern=r"\w+")
    vectors = vectorizer.fit_transform([plain(each.context) for each in given.examples])
    model = LogisticRegression(C=0.7, max_iter=1000).fit(vectors, [each.answer for each in given.examples])
    expected = model.predict_log_proba(vectorizer.transform([plain(each.context) for each in given.records]))
    places = [list(model.classes_).index(option) for option in given.records[0].options]
    assert np.allclose([each.scores for each in found], expected[:, places], atol=1e-4)
    assert given.counts["trainable parameters"] == model.coef_.size + 3


def test_tfidf_of_several_labels_is_one_against_the_rest():
    given = learnable("several", 150)
    found = TfIdf(ngrams=1).answers(given)
    vectorizer = TfidfVectorizer(sublinear_tf=True, token_pattern=r"\w+")
    vectors = vectorizer.fit_transform([plain(each.context) for each in given.examples])
    new = vectorizer.transform([plain(each.context) for each in given.records])
    for place, option in enumerate(given.records[0].options):
        model = LogisticRegression(max_iter=1000).fit(vectors, [option in each.labels for each in given.examples])
        assert np.allclose([each.scores[place] for each in found], model.decision_function(new), atol=1e-3)
        assert all((each.scores[place] > 0) == (option in each.gold) for each in found)


@pytest.mark.parametrize("method", [TfIdf(), TextCNN(**QUICK, learning_rate=5e-3)], ids=["tfidf", "text-cnn"])
def test_classifier_learns_the_word_that_tells(method):
    assert accuracy(method.answers(learnable("labels"))) >= 0.9


def matching(count, seed):
    """Questions with options of their own, of which that is right which shares a word with the context."""
    draw, made = random.Random(seed), []
    for number in range(count):
        words = [f"{draw.choice('bcdfg')}{draw.choice('aeiou')}{n}" for n in draw.sample(range(50), 4)]
        fields = format_choices("Which?", [f"about {word}" for word in words], [f"about {words[0]}"])
        made.append(Record(id=f"{seed}/{number}", context=f"They spoke of {words[0]} today.", **fields))
    return made


def test_tfidf_of_options_of_their_own_learns_that_shared_words_count():
    given = given_to(matching(30, 1), matching(80, 2))
    assert accuracy(TfIdf().answers(given)) >= 0.9
    assert all(len(each.scores) == 4 for each in TfIdf().answers(given))


def test_classifier_of_options_of_their_own_learns_what_an_option_says():
    def typed(count, seed):
        draw = random.Random(seed)
        for number in range(count):
            options = [f"{kind} number {draw.randrange(99)}" for kind in ("benign", "lesion", "never")]
            draw.shuffle(options)
            gold = next(option for option in options if option.startswith("benign"))
            yield Record(id=f"{seed}/{number}", **format_choices("Which?", options, [gold]))

    given = given_to(list(typed(30, 1)), list(typed(60, 2)))
    assert accuracy(TfIdf().answers(given)) == 1.0
    assert accuracy(TextCNN(**QUICK, learning_rate=5e-3).answers(given)) >= 0.9


def test_tfidf_gives_a_label_that_no_example_has_no_chance_and_stays_finite():
    given = learnable("labels")
    only = [each for each in given.examples if each.answer == "gout"]
    found = TfIdf().answers(given_to(given.records, only))
    assert {each.text for each in found} == {"gout"}
    two = [each for each in given.examples if each.answer != "gout"]
    assert all(math.isfinite(score) for each in TfIdf().answers(given_to(given.records, two)) for score in each.scores)


def test_problem_without_a_right_option_is_refused():
    records = questions("labels", 3)
    unlabelled = [Record(id="x", query=records[0].query, answer="", options=records[0].options)]
    for method in (TfIdf(), TextCNN()):
        with pytest.raises(BadInput, match="None of the examples says which option is right"):
            method.answers(given_to(records, unlabelled))


def test_nearest_answers_as_the_most_similar_example():
    texts = ["the liver is enlarged", "fever since monday", "a cough at night"]
    examples = [Record(id=str(i), query="Seen?", context=text, answer=text.split()[-1]) for i, text in enumerate(texts)]
    asked = [Record(id="a", query="Seen?", context="enlarged liver", answer=""),
             Record(id="b", query="Seen?", context="since monday night fever", answer="")]  # fmt: skip
    found = Nearest().answers(given_to(asked, examples))
    assert [each.text for each in found] == ["enlarged", "monday"]


def test_text_cnn_has_the_parameters_of_the_paper_and_counts_them():
    given = learnable("labels", 30, 2)
    TextCNN(epochs=1, dimensions=8, filters=5).answers(given)
    words = {
        word
        for each in given.examples
        for word in plain(each.context).lower().replace("?", "").replace(".", "").split()
    }
    filters = sum(5 * (8 * width + 1) for width in (3, 4, 5))
    assert given.counts["trainable parameters"] == 8 * (len(words) + 2) + filters + 3 * 15 + 3
    assert given.counts["epochs"] == 1


def test_text_classifier_keeps_the_epoch_that_is_best_on_what_is_held_out():
    """With a rate so high that it diverges, what is kept is not what came last."""
    given = learnable("labels", 60)
    wild = TextCNN(**(QUICK | {"epochs": 6}), learning_rate=3.0)
    wild.answers(given)
    assert given.counts["epochs"] < 6


def test_text_classifier_same_seed_same_scores_whatever_was_drawn_before():
    first = TextCNN(**(QUICK | {"epochs": 2})).answers(learnable("labels", 30, 5))
    torch.rand(7)
    again = TextCNN(**(QUICK | {"epochs": 2})).answers(learnable("labels", 30, 5))
    assert first == again


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """A tiny random BERT with a tokenizer of whole words, as transformers saves it."""
    folder = tmp_path_factory.mktemp("bert")
    words = sorted(
        {word for each in questions("labels", 90, 2) for word in plain(each.context).lower().rstrip(".").split()}
    )
    vocabulary = {word: n for n, word in enumerate(["[PAD]", "[UNK]", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 48}
    config = BertConfig(vocab_size=len(vocabulary), max_position_embeddings=64, num_labels=2, **sizes)
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def test_encoder_is_trained_with_a_head_of_its_own(bert):
    given = learnable("labels", 120)
    found = EncoderHead(path=str(bert), epochs=15, learning_rate=3e-3).answers(given)
    assert accuracy(found) > 0.6
    whole = sum(each.numel() for each in BertForSequenceClassification.from_pretrained(bert).parameters())
    assert given.counts["trainable parameters"] == whole + 32 + 1  # a head of three classes in place of two


def test_encoder_without_a_folder_or_of_something_else_is_bad_input(tmp_path):
    given = learnable("labels", 12, 2)
    with pytest.raises(BadInput, match=r"finds no encoder in '': name its folder, as in --set encoder\.path="):
        EncoderHead().answers(given)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(BadInput, match=r"cannot load .*: give a folder with configuration, tokenizer and safetensors"):
        EncoderHead(path=str(tmp_path)).answers(given)


def test_problem_is_one_text_a_record_or_one_an_option():
    shared, own = learnable("labels", 12, 3), learnable("choices", 12, 3)
    assert Problem.of(shared).outputs == 3
    assert len(Problem.of(shared).texts(shared.records[0])) == 1
    assert Problem.of(own).outputs == 1
    assert [text.split(" |")[0] for text in Problem.of(own).texts(own.records[0])] == list(own.records[0].options)
