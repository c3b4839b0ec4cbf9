"""The record and its two file formats."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mdkif import BadInput, Record, read_records, write_records

TEXT = st.text(max_size=20)
NAMES = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=5, unique=True)
SPANS = st.lists(st.tuples(st.integers(0, 2**40), st.integers(0, 2**40)), max_size=3)
LINE = {"id": "1", "query": "q", "answer": "a"}


@st.composite
def records(draw):
    options = draw(st.one_of(st.just([]), NAMES))
    return Record(
        id=draw(st.text(min_size=1, max_size=9)),
        query=draw(TEXT),
        answer=draw(TEXT),
        context=draw(TEXT),
        options=tuple(options),
        labels=tuple(draw(st.lists(st.sampled_from(options), unique=True)) if options else draw(NAMES)),
        spans=tuple(draw(SPANS)),
        split=draw(st.sampled_from(["", "train", "dev", "test"])),
        group=draw(TEXT),
        source=draw(TEXT),
    )


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
@settings(deadline=None, max_examples=60)
@given(written=st.lists(records(), max_size=6))
def test_records_written_are_read_back(tmp_path_factory, suffix, written):
    path = tmp_path_factory.mktemp("records") / f"out{suffix}"
    assert write_records(iter(written), path) == len(written)
    assert list(read_records(path)) == written


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_records_texts_that_other_tools_break_at_survive(tmp_path, suffix):
    """Line separators, carriage returns, quotes, byte order marks, characters beyond the basic plane, NUL."""
    text = 'a\nb\r\nc\u2028d\u2029e\x85f\tg"h\\i\ufeffj😀k\x00l\x1c'
    record = Record(id="1", query=text, answer=text, context=text, options=(text,), labels=(text,), source=text)
    write_records(iter([record]), tmp_path / f"out{suffix}")
    assert list(read_records(tmp_path / f"out{suffix}")) == [record]


def test_records_are_streamed_in_row_groups(tmp_path):
    """More than one batch of Parquet rows, from a generator that would notice being held."""
    written = (Record(id=str(i), query="q", answer="a", spans=((i, i + 1),)) for i in range(5000))
    assert write_records(written, tmp_path / "out.parquet") == 5000
    read = read_records(tmp_path / "out.parquet")
    assert next(read).spans == ((0, 1),)
    assert [record.id for record in read] == [str(i) for i in range(1, 5000)]


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_records_list_is_written_as_an_iterator_is(tmp_path, suffix):
    written = [Record(id=str(i), query="q", answer="a") for i in range(3)]
    assert write_records(written, tmp_path / f"out{suffix}") == 3
    assert list(read_records(tmp_path / f"out{suffix}")) == written


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_records_that_are_none_make_a_file_without_rows(tmp_path, suffix):
    assert write_records(iter([]), tmp_path / f"out{suffix}") == 0
    assert list(read_records(tmp_path / f"out{suffix}")) == []


def test_json_lines_are_one_object_a_line_with_every_field(tmp_path):
    write_records([Record(id="1", query="Frage: ä?", answer="a", spans=((0, 2),))], tmp_path / "out.jsonl")
    (line,) = (tmp_path / "out.jsonl").read_text("utf-8").splitlines()
    assert "ä" in line
    assert json.loads(line) == {
        "id": "1",
        "query": "Frage: ä?",
        "answer": "a",
        "context": "",
        "options": [],
        "labels": [],
        "spans": [[0, 2]],
        "split": "",
        "group": "1",
        "source": "",
    }


def test_records_lines_by_hand_may_leave_fields_out_have_a_mark_and_blank_lines(tmp_path):
    path = tmp_path / "hand.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(LINE).encode() + b"\r\n\n" + json.dumps({**LINE, "id": "2"}).encode())
    assert [(record.id, record.options, record.group) for record in read_records(path)] == [
        ("1", (), "1"),
        ("2", (), "2"),
    ]


@pytest.mark.parametrize(
    "bad",
    [
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b"\xff\xfe\x00\xd8",
        json.dumps({"id": "1", "query": "q"}).encode(),
        json.dumps({**LINE, "colour": "red"}).encode(),
        json.dumps({**LINE, "split": "validation"}).encode(),
        json.dumps({**LINE, "query": None}).encode(),
        json.dumps({**LINE, "id": 7}).encode(),
        json.dumps({**LINE, "options": "yes"}).encode(),
        json.dumps({**LINE, "options": [1, 2]}).encode(),
        json.dumps({**LINE, "options": ["yes"], "labels": ["no"]}).encode(),
        json.dumps({**LINE, "spans": [[1]]}).encode(),
        json.dumps({**LINE, "spans": [["x", "y"]]}).encode(),
    ],
)
def test_records_line_that_is_no_record_is_named_and_not_quoted(tmp_path, bad):
    path = tmp_path / "bad.jsonl"
    path.write_bytes(json.dumps({**LINE, "answer": "secret"}).encode() + b"\n\n" + bad + b"\n")
    reading = read_records(path)
    assert next(reading).answer == "secret"
    with pytest.raises(BadInput) as caught:
        next(reading)
    assert str(caught.value) == f"{path}:3 is not a record as 'mdkif convert' writes it: convert again."


def test_parquet_row_that_is_no_record_is_named(tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(
        pa.table({"id": ["1", "2"], "query": ["q", None], "answer": ["a", "a"]}), tmp_path / "bad.parquet"
    )
    with pytest.raises(BadInput, match=r"bad\.parquet:2 is not a record"):
        list(read_records(tmp_path / "bad.parquet"))


def test_parquet_file_cut_short_is_named(tmp_path):
    path = tmp_path / "cut.parquet"
    write_records([Record(id="1", query="q", answer="a")], path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(BadInput, match=r"cut\.parquet is not a Parquet file, or was cut short"):
        list(read_records(path))


@pytest.mark.parametrize("name", ["none.jsonl", "none.parquet"])
def test_records_missing_file_is_named(tmp_path, name):
    with pytest.raises(BadInput, match=f"cannot be read from .*{name} .No such file"):
        list(read_records(tmp_path / name))


@pytest.mark.parametrize("name", ["out.csv", "out", "out.json", "out.jsonl.gz"])
def test_records_of_another_suffix_are_refused_before_anything_is_written(tmp_path, name):
    with pytest.raises(BadInput, match=r"name it \.jsonl or \.parquet"):
        write_records(iter([]), tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_records_that_fail_half_way_leave_the_old_file(tmp_path, suffix):
    path = tmp_path / f"out{suffix}"
    old = [Record(id="old", query="q", answer="a")]
    write_records(old, path)

    def failing():
        yield from (Record(id=str(i), query="q", answer="a") for i in range(3000))
        raise BadInput("row 3001 is malformed")

    with pytest.raises(BadInput, match="row 3001"):
        write_records(failing(), path)
    assert list(read_records(path)) == old
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_record_checks_its_labels_and_its_split():
    with pytest.raises(ValueError, match="record r1: a gold label is not among the options"):
        Record(id="r1", query="q", answer="x", options=("a", "b"), labels=("x",))
    with pytest.raises(ValueError, match="record r1: its split is none of train, dev, adapt, test"):
        Record(id="r1", query="q", answer="x", split="valid")


def test_record_without_options_may_have_any_labels():
    assert Record(id="r1", query="q", answer="x", labels=("problem",)).labels == ("problem",)


def test_record_is_its_own_group_unless_told():
    assert Record(id="r1", query="q", answer="a").group == "r1"
    assert Record(id="r1", query="q", answer="a", group="patient 3").group == "patient 3"
