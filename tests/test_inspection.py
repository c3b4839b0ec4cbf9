"""How plugins are looked at: what is a leak and what is not, entities, damaged copies, and the other process."""

import gzip
import socket
import sys
import types
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mdkif import Dataset, Record, Skill, Source, format_choices, format_entities
from mdkif.core.inspection import damage
from mdkif.core.inspection.answers import GivenAway
from mdkif.core.inspection.elsewhere import Digest, Elsewhere
from mdkif.core.inspection.records import RULES, Traceable, WholeWords, examine
from mdkif.core.inspection.surroundings import offline

YES_NO = ("yes", "no")


def skill(category):
    return Skill(name="s", title="", category=category, sources=(Source(dataset="d"),), template="", package="")


def given_away(records, category="text-classification"):
    return examine(records, {"leak": GivenAway(skill(category))}).problems.get("leak", "")


def closed(contexts, labels, options=YES_NO):
    return [
        Record(id=str(i), context=context, **format_choices("Is it?", options, [label]))
        for i, (context, label) in enumerate(zip(contexts, labels, strict=True))
    ]


def opened(rows):
    return [Record(id=str(i), query=q, context=c, answer=a) for i, (q, c, a) in enumerate(rows)]


def test_label_named_in_the_text_of_every_label_is_given_away():
    contexts = [f"Fever and cough, day {i}. Verdict: {YES_NO[i % 2]}" for i in range(20)]
    labels = [YES_NO[i % 2] for i in range(20)]
    assert "names the right label, and no other, in 20 of 20 records" in given_away(closed(contexts, labels))
    assert given_away(closed(contexts, labels[1:] + labels[:1])) == ""


def test_word_that_happens_to_be_the_commonest_label_is_not_given_away():
    """ "No" stands in every note; the rare "yes" has to be worked out."""
    contexts = [f"There is no fever on day {i}." for i in range(40)]
    assert given_away(closed(contexts, ["no"] * 38 + ["yes"] * 2)) == ""


def test_one_label_alone_and_few_records_say_nothing():
    assert given_away(closed(["yes"] * 9, ["yes"] * 9)) == ""
    assert given_away(closed(["yes", "no"], ["yes", "no"])) == ""


def test_extraction_is_work_and_copying_is_not():
    rows = [("What is it?", f"Case {i} is gout.", f"Case {i} is gout.") for i in range(9)]
    assert given_away(opened(rows), "sequence-labelling") == ""
    assert "little more than the answer in 9 of 9" in given_away(opened(rows), "question-answering")
    longer = [(q, f"{c} He came walking, with a swollen toe and much pain.", "gout") for q, c, _ in rows]
    assert given_away(opened(longer), "question-answering") == ""


@pytest.mark.parametrize(("share", "leaks"), [(0, False), (2, False), (5, True), (20, True)])
def test_question_that_holds_the_answer_is_given_away_unless_it_is_rare(share, leaks):
    rows = [(f"Is it gout {i if i < share else ''}?", "Much pain. " * 5, f"gout {i}") for i in range(20)]
    assert bool(given_away(opened(rows), "question-answering")) is leaks


def entities(context, *spans):
    return Record(id="r", query="q", context=context, **format_entities(context, [("drug", *span) for span in spans]))


@pytest.mark.parametrize(
    ("context", "span", "right"),
    [
        ("He takes insulin.", (9, 16), True),
        ("He takes insulin.", (8, 16), False),
        ("He takes insulin.", (9, 15), False),
        ("He takes insulin.", (10, 16), False),
        ("insulin", (0, 7), True),
        ("non-steroidal", (4, 13), True),
        ("他服用胰岛素。", (3, 6), True),
    ],
)
def test_entity_begins_and_ends_with_words(context, span, right):
    found = examine([entities(context, span)], {"words": WholeWords()}).problems
    assert (found == {}) is right


def test_one_entity_in_twenty_may_be_part_of_a_word():
    whole, part = entities("He takes insulin.", (9, 16)), entities("He takes 5mg.", (10, 12))
    assert examine([whole] * 19 + [part], {"words": WholeWords()}).problems == {}
    assert "2 of 20 entities" in examine([whole] * 18 + [part] * 2, {"words": WholeWords()}).problems["words"]


@pytest.mark.parametrize(
    ("name", "context", "holds"),
    [
        ("d/7", "Chest pain since noon", False),
        ("d/chest-pain-since", "Chest pain since noon", True),
        ("d/Chest_pain", "Chest pain since noon", False),
        ("d/asthma", "asthma", True),
        ("asthma/7", "asthma", False),
        ("d/2150-01-01", "Seen on 2150-01-01 again", False),
    ],
)
def test_id_holds_no_text(name, context, holds):
    record = Record(id=name, query="Explain it.", context=context, answer="A disease.", source="f:1")
    assert bool(Traceable().look(record)) is holds


records = st.builds(Record, id=st.text(), query=st.text(), answer=st.text(), context=st.text())


@given(st.lists(records, max_size=6), st.randoms())
def test_rules_look_at_any_record_and_a_digest_tells_order_from_change(stream, rng):
    assert examine(stream, {name: rule() for name, rule in RULES.items()}).records == len(stream)
    turned = rng.sample(stream, len(stream))
    first, other = Digest(), Digest()
    for digest, group in ((first, stream), (other, turned)):
        for record in group:
            digest.add(record)
    assert (first.in_any_order, first.ids) == (other.in_any_order, other.ids)
    assert (first == other) is (stream == turned)


def test_sockets_of_this_machine_are_let_through_and_put_back():
    usual = socket.socket.connect, socket.getaddrinfo
    with offline() as tried:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("example.org", 80))
        if hasattr(socket, "AF_UNIX"):
            with socket.socket(socket.AF_UNIX) as local, pytest.raises(OSError, match="No such file"):
                local.connect("/nowhere")
    assert tried == ["example.org"]
    assert (socket.socket.connect, socket.getaddrinfo) == usual


def test_process_that_dies_is_told_and_begun_again(tmp_path, monkeypatch):
    (tmp_path / "dying.py").write_text("import os\nos._exit(3)\n")
    (tmp_path / "living.py").write_text("print('hello')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with Elsewhere() as elsewhere:
        assert elsewhere.imported("dying")["error"] == "the process ended with the exit code 3"
        assert elsewhere.imported("living") == {"heavy": [], "printed": True}


# Damaged copies


def quoting(source, conversion):
    """A converter that quotes what it cannot read."""
    path = next(Path(source).iterdir())
    if path.suffix == ".gz":
        lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            lines = archive.read("notes.csv").decode().splitlines()
    else:
        lines = path.read_text().splitlines()
    for number, line in enumerate(lines, 1):
        cells = line.split(";")
        if len(cells) != 2:
            conversion.malformed(path, number, f"is {line}")
            continue
        yield Record(id=str(number), query="q", context=cells[0], answer=cells[1])


def packed(folder, suffix):
    folder.mkdir()
    text = "".join(f"Note of the day {i};answer {i}\n" for i in range(4))
    if suffix == ".zip":
        with zipfile.ZipFile(folder / "notes.zip", "w") as archive:
            archive.writestr("notes.csv", text)
    else:
        path = folder / f"notes.csv{suffix}"
        path.write_bytes(gzip.compress(text.encode()) if suffix == ".gz" else text.encode())
    return folder


@pytest.mark.parametrize("suffix", ["", ".gz", ".zip"])
def test_quotation_is_found_in_packed_files_too_and_the_sample_stays_as_it_was(tmp_path, monkeypatch, suffix):
    module = types.ModuleType("quoting_converter")
    vars(module)["convert"] = quoting
    monkeypatch.setitem(sys.modules, module.__name__, module)
    facts = {"licence": "CC0", "access": "open", "homepage": "https://example.org"}
    declared = Dataset(name="d", title="d", target="quoting_converter:convert", **facts)
    folder = packed(tmp_path / "sample", suffix)
    before = next(folder.iterdir()).read_bytes()
    whole = [Record(id="1", query="q", context="Note of the day 0", answer="answer 0")]
    found = damage.damaged(declared, folder, {}, whole)
    assert found.copies >= 5
    assert "name file and line" in found.quoted
    assert found.fault == ""
    assert next(folder.iterdir()).read_bytes() == before


def test_large_sample_is_not_damaged(tmp_path):
    assert damage.is_small(packed(tmp_path / "small", ""))
    (tmp_path / "large").mkdir()
    (tmp_path / "large" / "notes.csv").write_bytes(b"x" * (damage.MOST_BYTES + 1))
    assert not damage.is_small(tmp_path / "large")
