"""What converters of terminologies share: wording, negatives and samples."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mdkif import BadInput, ConversionReport, Record
from mdkif_dataset_umls.pairs import (
    Sample,
    Synonym,
    Vocabulary,
    draw,
    explanation,
    fold,
    one_of,
    plain,
    relation,
    synonym_pairs,
    whole_number,
)

# Text and options


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>A <i>benign</i> tumour.</p>", "A benign tumour."),
        ("fish &amp; chips&#39;", "fish & chips'"),
        ("p < 0.05 and q > 3", "p < 0.05 and q > 3"),
        ('see <a href="x">here</a>,\n now', "see here , now"),
    ],
)
def test_umls_pairs_html_is_stripped_and_comparisons_are_not(html, text):
    assert plain(html) == text


def test_umls_pairs_draw_is_the_same_on_every_machine_and_tells_its_parts_apart():
    assert draw(0, "C0000001") == 17031638808172320069
    assert draw("ab", "c") != draw("a", "bc")


@pytest.mark.parametrize(("given", "number"), [(0, 0), (12, 12), ("12", 12)])
def test_umls_pairs_whole_numbers_may_come_as_text(given, number):
    assert whole_number("limit", given) == number


@pytest.mark.parametrize("given", [-1, "-1", "x", "", 1.5, None, True])
def test_umls_pairs_other_values_are_no_whole_numbers(given):
    with pytest.raises(BadInput, match=r"The option 'limit' is .*: give a whole number from 0 up"):
        whole_number("limit", given)


def test_umls_pairs_choice_is_given_back_or_the_choices_are_named():
    assert one_of("view", "ea", ("ea", "es")) == "ea"
    with pytest.raises(BadInput, match=r"The option 'view' is 'EA': choose from ea, es"):
        one_of("view", "EA", ("ea", "es"))


# Negatives


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.text("xyz ", min_size=1, max_size=9)), max_size=60), st.randoms()
)
def test_umls_pairs_vocabulary_does_not_depend_on_the_order_of_its_terms(terms, random):
    one, other = Vocabulary(), Vocabulary()
    for concept, term in terms:
        one.add(term, concept)
    for concept, term in random.sample(terms, len(terms)):
        other.add(term, concept)
    own = {fold(term) for concept, term in terms if concept == "a"}
    picked = one.contrast("xxxx yyyy", "a", own, 7)
    assert picked == other.contrast("xxxx yyyy", "a", own, 7)
    assert picked is None or fold(picked) not in own


def test_umls_pairs_vocabulary_holds_few_terms_per_word_and_still_contrasts_every_concept():
    vocabulary = Vocabulary()
    for number in range(3000):
        vocabulary.add(f"carcinoma {number}", f"C{number}")
    picked = {vocabulary.contrast("carcinoma", f"C{number}", (), draw(number)) for number in range(300)}
    assert None not in picked
    assert 2 <= len(picked) <= 16


def test_umls_pairs_contrast_shares_a_word_where_it_can_and_is_any_term_where_it_cannot():
    vocabulary = Vocabulary()
    for concept, term in (("1", "acute hepatitis"), ("2", "acute nephritis"), ("3", "broken arm")):
        vocabulary.add(term, concept)
    assert {vocabulary.contrast("acute disease", "1", (), draw(key)) for key in range(20)} == {"acute nephritis"}
    assert {vocabulary.contrast("unheard", "1", (), draw(key)) for key in range(20)} == {
        "acute nephritis",
        "broken arm",
    }
    own = {"acute nephritis"}
    assert {vocabulary.contrast("acute disease", "1", own, draw(key)) for key in range(20)} == {"broken arm"}


def test_umls_pairs_short_words_are_not_what_terms_have_in_common():
    vocabulary = Vocabulary()
    vocabulary.add("loss of hair", "1")
    vocabulary.add("vision", "2")
    assert {vocabulary.contrast("pain of arm", "3", (), draw(key)) for key in range(30)} == {"loss of hair", "vision"}


# Records


def pairs(synonyms, *, also=(), others=("other term",), conversion=None, limit=0):
    vocabulary = Vocabulary()
    for number, term in enumerate(others):
        vocabulary.add(term, f"X{number}")
    conversion = conversion or ConversionReport()
    sample = Sample(limit, 0, conversion)
    found = synonym_pairs("d", "C", "Name", synonyms, also, vocabulary, sample, conversion)
    return list(sample.of(found))


def test_umls_pairs_synonym_makes_a_pair_that_points_to_its_line():
    yes, no = pairs([Synonym("1", "Alias", "file:7")])
    assert (yes.id, no.id) == ("d/es/C/1#yes", "d/es/C/1#no")
    assert (yes.context, no.context) == ("term 1: Name\nterm 2: Alias", "term 1: Name\nterm 2: other term")
    assert {yes.source, no.source, yes.group, no.group} == {"file:7", "C"}
    assert (yes.labels, no.labels) == (("yes",), ("no",))


def test_umls_pairs_terms_that_are_nearly_the_same_are_never_the_contrast():
    conversion = ConversionReport()
    assert pairs([Synonym("1", "Alias", "f:1")], also=["Other  TERM"], conversion=conversion) == []
    assert conversion.left_out == {"synonym without a term of another concept to contrast with": 1}


def test_umls_pairs_synonym_is_told_once_however_it_is_spelt():
    conversion = ConversionReport()
    synonyms = [Synonym(str(n), term, "f:1") for n, term in enumerate(("name", "Alias", "ALIAS", " alias "))]
    assert [record.answer for record in pairs(synonyms, conversion=conversion)] == ["yes", "no"]
    assert conversion.left_out == {"synonym that repeats another term": 3}


def test_umls_pairs_pairs_that_cannot_be_chosen_are_not_made_but_counted():
    conversion = ConversionReport()
    synonyms = [Synonym(str(n), f"Alias {n}", "f:1") for n in range(50)]
    found = pairs(synonyms, conversion=conversion, limit=10)
    assert [record.answer for record in found] == ["yes", "no"] * 5
    assert conversion.left_out == {"not in the sample": 90}
    whole = pairs(synonyms)
    assert [record for record in whole if record in found] == found


def test_umls_pairs_explanation_and_a_relation_are_worded_for_the_model():
    explained = explanation("d", "C", "Name", "What it is.", "f:1")
    assert (explained.id, explained.context, explained.answer) == ("d/ea/C", "Name", "What it is.")
    related = relation("d/er/1", "How?", ("One", "Two"), ("is", "is not"), "is not", "C", "f:2")
    assert related.query == "How? Choose from: is; is not."
    assert related.context == "concept 1: One\nconcept 2: Two"
    assert (related.answer, related.group, related.source) == ("is not", "C", "f:2")


# Samples


@settings(max_examples=60, deadline=None)
@given(st.sets(st.text("abc", min_size=1), max_size=30), st.integers(0, 12), st.integers(0, 3))
def test_umls_pairs_sample_is_the_records_with_the_smallest_hashes_in_their_order(names, limit, seed):
    records = [Record(id=name, query="q", answer="a") for name in sorted(names)]
    conversion = ConversionReport()
    sample = Sample(limit, seed, conversion)
    chosen = list(sample.of(record for record in records if sample.wants(record.id)))
    best = sorted(names, key=lambda name: draw(seed, name))[: limit or None]
    assert [record.id for record in chosen] == sorted(best)
    assert conversion.left_out["not in the sample"] == len(names) - len(chosen)


def test_umls_pairs_without_a_limit_records_flow_one_by_one():
    sample = Sample(0, 0, ConversionReport())
    endless = (Record(id=str(number), query="q", answer="a") for number in iter(int, 1))
    assert next(sample.of(endless)).id == "0"
