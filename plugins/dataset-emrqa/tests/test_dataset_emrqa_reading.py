"""What emrQA is read with: JSON value by value, whatever its size, and passages in which answers are found."""

import json
import tracemalloc

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mdkif import BadInput
from mdkif_dataset_emrqa import Passage, stream, streaming, window_size

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)


def paths(value, depth, keys=()):
    """What `stream` should give, from the whole value."""
    if depth and isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        return [found for key, inner in pairs for found in paths(inner, depth - 1, (*keys, key))]
    return [(keys, value)]


@settings(max_examples=150, deadline=None)
@given(
    value=values,
    depth=st.integers(0, 4),
    chunk=st.integers(1, 40),
    ascii_only=st.booleans(),
    indent=st.sampled_from([None, 1]),
)
@example(value=[1.5e300, -0.25, True], depth=1, chunk=1, ascii_only=True, indent=None)
def test_emrqa_reading_streaming_gives_the_same_values_whatever_the_chunks(
    tmp_path_factory, value, depth, chunk, ascii_only, indent
):
    path = tmp_path_factory.mktemp("stream") / "x.json"
    path.write_text(json.dumps(value, ensure_ascii=ascii_only, indent=indent), "utf-8", "surrogatepass")
    before, streaming.CHUNK = streaming.CHUNK, chunk
    try:
        assert list(stream(path, depth)) == paths(value, depth)
    finally:
        streaming.CHUNK = before


@settings(max_examples=60, deadline=None)
@given(
    value=st.lists(values, min_size=1, max_size=3),
    place=st.floats(0, 1, exclude_max=True),
    char=st.sampled_from('"[]{},:x1 '),
)
def test_emrqa_reading_spoilt_file_is_json_to_both_readers_or_to_none(tmp_path_factory, value, place, char):
    text = json.dumps(value)
    at = int(place * len(text))
    text = text[:at] + char + text[at + 1 :]
    path = tmp_path_factory.mktemp("spoilt") / "x.json"
    path.write_text(text)
    try:
        expected = json.loads(text)
    except ValueError:
        with pytest.raises(BadInput, match="not well-formed JSON"):
            list(stream(path, 3))
    else:
        assert list(stream(path, 0)) == [((), expected)]


def test_emrqa_reading_values_that_are_longer_than_a_chunk_are_read_whole(tmp_path):
    path = tmp_path / "x.json"
    first, second = 'é\\"' * 1_000_000, {"b": list(range(400_000))}
    value = {"a": [first, second], "c": 1}
    path.write_text(json.dumps(value).replace(", ", ",\r\n"), newline="")
    assert list(stream(path, 2)) == [(("a", 0), first), (("a", 1), second), (("c",), 1)]
    assert list(stream(path, 0)) == [((), value)]


def test_emrqa_reading_what_comes_before_the_spoilt_place_is_read(tmp_path):
    path = tmp_path / "x.json"
    path.write_text("[1, {}, [], oops]")
    values = stream(path, 1)
    assert [next(values) for _ in range(3)] == [((0,), 1), ((1,), {}), ((2,), [])]
    with pytest.raises(BadInput, match="from its character 12 on"):
        next(values)


def test_emrqa_reading_memory_is_bounded_by_one_note_however_many_there_are(tmp_path):
    peaks = []
    note = {"note_id": "1", "context": ["x" * 99] * 1000, "qas": []}
    for count in (20, 200):
        path = tmp_path / "data.json"
        path.write_text(json.dumps({"data": [{"paragraphs": [note] * count, "title": "medication"}]}))
        tracemalloc.start()
        assert sum(1 for _ in stream(path, 4)) == count + 1
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0] < 16 << 20  # the second file has 20 MB


words = st.lists(st.sampled_from(["a", "B", "İ", "Straße", "pain", "Pain,", "(x)", "40"]), min_size=1, max_size=12)


@given(lines=st.lists(words, min_size=1, max_size=5), data=st.data())
def test_emrqa_reading_words_of_a_passage_are_found_in_it(lines, data):
    passage = Passage("  ".join(line) for line in lines)
    tokens = [token for line in lines for token in line]
    first = data.draw(st.integers(0, len(tokens) - 1))
    wanted = " ".join(tokens[first : data.draw(st.integers(first + 1, len(tokens)))])
    found = passage.find(wanted)
    assert found
    start, end = found
    assert " ".join(passage.text[start:end].split()).lower() == wanted.lower()
    around = data.draw(st.none() | st.integers(0, 3))
    begin, stop = passage.window((start, end), around)
    assert begin <= start < end <= stop
    assert set(passage.text[begin:stop].split("\n")) <= set(passage.text.split("\n"))


def test_emrqa_reading_window_is_whole_lines():
    passage = Passage("abcdefg")
    assert [passage.text[slice(*passage.window((6, 7), around))] for around in (0, 1, 9, None)] == [
        "d",
        "c\nd\ne",
        "\n".join("abcdefg"),
        "\n".join("abcdefg"),
    ]
    assert passage.window((0, 1), 0) == (0, 1)
    assert passage.window((12, 13), 2) == (8, 13)


def test_emrqa_reading_nothing_is_found_nowhere():
    assert Passage([]).text == ""
    assert Passage([]).find("x") is None
    assert Passage(["x"]).find("") is None
    assert window_size("all") is None
    assert (window_size(0), window_size("12")) == (0, 12)


alike = st.lists(st.sampled_from(["a", "A", "ab", "b"]), min_size=1, max_size=4)


@given(lines=st.lists(alike, min_size=1, max_size=5), wanted=alike)
def test_emrqa_reading_answer_is_found_wherever_its_words_stand_in_a_row_and_nowhere_else(lines, wanted):
    """Also over the end of a line and where it overlaps with itself."""
    passage, folded = Passage(map(" ".join, lines)), [word.lower() for line in lines for word in line]
    starts, size = [], len(wanted)
    for first in range(len(folded) - size + 1):
        if folded[first : first + size] == [word.lower() for word in wanted]:
            starts.append(sum(len(word) + 1 for word in folded[:first]))
    found = list(passage.find_all(" ".join(wanted)))
    assert [start for start, _ in found] == starts
    assert all(passage.text[start:end].lower().split() == [word.lower() for word in wanted] for start, end in found)


@given(lines=st.lists(alike, min_size=1, max_size=4), line=st.integers(-1, 6), token=st.integers(0, 6) | st.just(""))
def test_emrqa_reading_place_is_the_token_it_names_or_the_nearest_before(lines, line, token):
    passage = Passage(map(" ".join, lines))
    before = passage.text[: passage.place(line, token)]
    if not 1 <= line <= len(lines):
        assert before == ""
    else:
        words = min(token or 0, len(lines[line - 1]))
        assert before.split() == [word for own in lines[: line - 1] for word in own] + lines[line - 1][:words]


def test_emrqa_reading_value_may_come_twice_and_both_are_told_with_their_place(tmp_path):
    """What that means is the reader's to say."""
    path = tmp_path / "x.json"
    path.write_text('{"a": [1], "b": 2, "a": [3, 4]}')
    assert list(stream(path, 2)) == [(("a", 0), 1), (("b",), 2), (("a", 0), 3), (("a", 1), 4)]


def test_emrqa_reading_bytes_that_are_not_utf_8_are_read_one_by_one_and_the_rest_as_it_is(tmp_path):
    path = tmp_path / "x.json"
    path.write_bytes(b'["37 \xb0C, na\xefve", "' + "37 °C, naïve €".encode() + b'", "\xe2\x82"]')
    assert [value for _, value in stream(path, 1)] == ["37 °C, naïve", "37 °C, naïve €", "â\x82"]


def test_emrqa_reading_only_latin_1_is_what_the_handler_of_errors_is_for():
    with pytest.raises(UnicodeEncodeError):
        "€".encode("latin-1", errors="mdkif-latin-1")
