"""Answers: closed-label queries and entities as text, and read back from text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mdkif import Record, format_choices, format_entities, parse_choices, parse_entities

NAMES = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=5, unique=True)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
LABELS = st.lists(
    st.text("abc -,;.", min_size=1, max_size=8).filter(lambda t: t == t.strip() and t != "none"),
    min_size=1, max_size=5, unique_by=str.casefold,
)  # fmt: skip


@given(
    request=st.text(max_size=30),
    options=NAMES,
    data=st.data(),
)
def test_labels_query_lists_every_option_and_points_at_the_right_ones(request, options, data):
    gold = data.draw(st.lists(st.sampled_from(options), unique=True))
    made = format_choices(request, options, gold)
    record = Record(id="r", **made)
    assert record.query.startswith(request)
    assert record.options == tuple(options)
    assert set(record.labels) == set(gold)
    assert list(record.labels) == [option for option in options if option in gold]
    assert [record.query[start:end] for start, end in record.spans] == list(record.labels)
    assert record.query == f"{request} Choose from: {'; '.join(options)}."
    assert record.answer == ("; ".join(record.labels) or "none")


def test_spans_point_into_the_list_and_not_at_the_same_words_before_it():
    made = format_choices("Is it benign or not benign?", ["benign", "not benign"], ["not benign"])
    ((start, end),) = made["spans"]
    assert made["query"][start:end] == "not benign"
    assert start > len("Is it benign or not benign?")


def test_labels_refuse_a_gold_one_that_is_not_listed_without_naming_it():
    with pytest.raises(ValueError, match=r"^1 gold label\(s\) are not among the 2 options: "):
        format_choices("Which?", ["a", "b"], ["secret"])


@given(options=LABELS, data=st.data())
def test_labels_without_the_separator_are_read_back_as_they_were_written(options, data):
    options = [option.replace(";", "") or "x" for option in options]
    options = list(dict.fromkeys(" ".join(option.split()) or "y" for option in options))
    gold = data.draw(st.lists(st.sampled_from(options), unique=True))
    made = format_choices("Which?", options, gold)
    assert parse_choices(made["answer"], options) == made["labels"]
    assert parse_choices(f" {made['answer'].upper()}\n", [o.upper() for o in options]) == tuple(
        label.upper() for label in made["labels"]
    )


def test_labels_may_hold_the_separator():
    options = ["fever; chills", "fever", "chills"]
    made = format_choices("Which?", options, ["fever; chills"])
    assert parse_choices(made["answer"], options) == ("fever; chills",)
    assert parse_choices("chills; fever", options) == ("fever", "chills")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Yes.", ("yes",)),
        ("YES", ("yes",)),
        ("no; yes", ("yes", "no")),
        ("yes, of course", ()),
        ("perhaps; no", ("no",)),
        ("none", ()),
        ("", ()),
        ("nothing", ()),
    ],
)
def test_labels_pass_over_what_is_none(text, found):
    assert parse_choices(text, ["yes", "no"]) == found


@given(st.lists(st.tuples(st.sampled_from(["problem", "test", "drug"]), WORDS), max_size=6))
def test_entities_are_read_back_as_they_were_written(pairs):
    context, entities = "", []
    for kind, entity in pairs:
        context += " "
        entities.append((kind, len(context), len(context) + len(entity)))
        context += entity
    visible = [e for e in entities if context[e[1] : e[2]].strip()]
    made = format_entities(context, visible)
    record = Record(id="r", query="Which?", context=context, **made)
    assert parse_entities(record.answer) == record.labels
    assert len(record.labels) == len(record.spans) == len(visible)
    for label, (start, end) in zip(record.labels, record.spans, strict=True):
        assert label.partition(": ")[2] == " ".join(context[start:end].split())


def test_entities_stand_in_the_order_of_the_text_once_each():
    context = "He takes insulin for type 2 diabetes."
    found = [("disease", 21, 36), ("treatment", 9, 16), ("disease", 21, 36)]
    assert format_entities(context, found) == {
        "answer": "treatment: insulin\ndisease: type 2 diabetes",
        "labels": ("treatment: insulin", "disease: type 2 diabetes"),
        "spans": ((9, 16), (21, 36)),
    }


def test_entities_that_are_absent_are_said_to_be():
    assert format_entities("All is well.", []) == {"answer": "none", "labels": (), "spans": ()}
    assert parse_entities("none") == ()


def test_entities_pass_over_lines_that_are_none():
    assert parse_entities("Here they are\nproblem:\n: fever\nproblem: chest  pain \n") == ("problem: chest pain",)
