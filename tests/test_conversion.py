"""Conversion: options checked before work, splits that no group straddles, malformed rows stopped at or counted."""

import gzip
import hashlib
import random
import re
import sys
import types
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mdkif import BadInput, ConversionReport, Dataset, Record, convert, hashed_split, write_records
from mdkif.core.data.conversion import ConverterError

DATASET = Dataset(
    name="lines",
    title="One record a line",
    target="test_conversion:read",
    licence="CC0",
    access="open",
    homepage="https://example.org/lines",
    options={"prefix": "put before every query", "fail": "raise an error at the end"},
)


def read(source, conversion, *, prefix="", fail=None):
    """A converter: `group|query|answer` a line, with an official split as an optional fourth field."""
    opener = gzip.open if source.suffix == ".gz" else open
    with opener(source, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            fields = line.rstrip("\n").split("|")
            if len(fields) not in (3, 4):
                conversion.malformed(source.name, number, f"has {len(fields)} fields, not 3 or 4")
                continue
            group, query, answer, split = [*fields, ""][:4]
            if not answer:
                conversion.leave_out("empty answer")
                continue
            yield Record(id=str(number), group=group, query=prefix + query, answer=answer, split=split)
    if fail is not None:
        raise fail


@pytest.fixture(autouse=True)
def converter(monkeypatch):
    """The converter above under the name that `DATASET` gives it."""
    module = types.ModuleType("test_conversion")
    vars(module)["read"] = read
    monkeypatch.setitem(sys.modules, module.__name__, module)


@pytest.fixture
def source(tmp_path):
    """A function that writes a source file."""

    def write(*lines, name="lines.txt"):
        path = tmp_path / name
        path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
        return path

    return write


def test_convert_records_come_with_counts_of_what_was_kept_and_left_out(source):
    done = ConversionReport()
    records = list(convert(DATASET, source("a|q1|yes|test", "b|q2|", "c|q3|no|dev", "d|q4|"), done))
    assert [(record.id, record.split) for record in records] == [("1", "test"), ("3", "dev")]
    assert done.records == 2
    assert done.splits == {"test": 1, "dev": 1}
    assert done.left_out == {"empty answer": 2}


def test_convert_records_are_streamed(source):
    """The first record is there before the malformed second row is read."""
    records = convert(DATASET, source("a|q|yes", "broken"), ConversionReport())
    assert next(records).query == "q"
    with pytest.raises(BadInput):
        next(records)


def test_convert_malformed_row_stops_with_file_line_and_remedy_but_not_its_text(source):
    records = convert(DATASET, source("a|q|yes", "secret of patient 7"), ConversionReport())
    with pytest.raises(BadInput) as caught:
        list(records)
    assert str(caught.value) == (
        "lines.txt:2 has 1 fields, not 3 or 4: mend the row, or use --skip-bad to count and skip such rows."
    )


def test_convert_malformed_rows_are_counted_by_reason_where_they_are_skipped(source):
    done = ConversionReport(skip_bad=True)
    assert len(list(convert(DATASET, source("x", "a|q|yes", "y", "1|2|3|4|5"), done))) == 1
    assert done.left_out == {"malformed: has 1 fields, not 3 or 4": 2, "malformed: has 5 fields, not 3 or 4": 1}


def test_convert_leaves_out_many_at_once():
    done = ConversionReport()
    done.leave_out("duplicate", 3)
    done.leave_out("duplicate")
    assert done.left_out == {"duplicate": 4}


def test_convert_options_reach_the_converter(source):
    (record,) = convert(DATASET, source("a|q|yes"), ConversionReport(), {"prefix": "Say: "})
    assert record.query == "Say: q"


@pytest.mark.parametrize("wrong", ["prefx", "source", "conversion"])
def test_convert_option_the_converter_does_not_have_is_refused_at_once_with_those_it_has(source, wrong):
    with pytest.raises(BadInput) as caught:
        convert(DATASET, source("a|q|yes"), ConversionReport(), {wrong: "x"})  # not even iterated
    assert str(caught.value) == f"The data set 'lines' has no option '{wrong}': its options are prefix, fail."


def test_convert_missing_source_is_refused_at_once_with_where_to_get_it(tmp_path):
    with pytest.raises(BadInput, match=r"'lines' does not exist at .*nowhere: .* \(https://example\.org/lines\)"):
        convert(DATASET, tmp_path / "nowhere", ConversionReport())


def test_convert_converter_that_cannot_be_imported_is_refused_with_the_remedy(source):
    broken = Dataset(name="b", title="b", target="no_such_module:read", licence="", access="", homepage="")
    with pytest.raises(BadInput, match=r"dataset 'b' cannot be loaded from no_such_module:read: .*reinstall"):
        convert(broken, source("a|q|yes"), ConversionReport())


def test_convert_archive_cut_short_is_bad_input(tmp_path):
    path = tmp_path / "lines.gz"
    whole = gzip.compress("".join(f"{i}|q{random.Random(i).random()}|yes\n" for i in range(5000)).encode())
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        BadInput, match=r"'lines' at .*lines\.gz cannot be read \(EOFError\): check that it is complete"
    ):
        list(convert(DATASET, path, ConversionReport()))


def test_convert_file_that_is_no_text_is_bad_input_and_not_quoted(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_bytes(b"a|q|yes\n\xff\xfe secret\n")
    with pytest.raises(BadInput, match=r"cannot be read \(UnicodeDecodeError\)") as caught:
        list(convert(DATASET, path, ConversionReport()))
    assert "secret" not in str(caught.value)


def test_convert_folder_where_a_file_is_expected_is_bad_input(tmp_path):
    with pytest.raises(BadInput, match=r"cannot be read \(Is a directory\)"):
        list(convert(DATASET, tmp_path, ConversionReport()))


def test_convert_converters_own_bad_input_passes_through(source):
    with pytest.raises(BadInput, match=r"^a sentence$"):
        list(convert(DATASET, source("a|q|yes"), ConversionReport(), {"fail": BadInput("a sentence")}))


@pytest.mark.parametrize("error", [ZeroDivisionError("SECRET"), KeyError("SECRET"), TypeError("SECRET")])
def test_convert_tells_other_errors_by_kind_and_place_and_never_quotes(source, error):
    with pytest.raises(ConverterError) as caught:
        list(convert(DATASET, source("a|q|yes"), ConversionReport(), {"fail": error}))
    found = re.fullmatch(
        r"The converter of 'lines' failed with (\w+) at (.+):(\d+): "
        r"mend it there, or tell the row by conversion\.malformed\.",
        str(caught.value),
    )
    assert found
    assert (found[1], found[2]) == (type(error).__name__, __file__)
    assert "raise fail" in Path(__file__).read_text("utf-8").splitlines()[int(found[3]) - 1]


def wrong(**fields: Any) -> Record:
    return Record(**{"id": "r1", "query": "q", "answer": "a"} | fields)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({"id": "1"}, r"yields what is of the type dict: yield mdkif\.Record objects"),
        (None, "of the type NoneType: yield"),
        (lambda: wrong(id=7), r"The id of a record is no text but of the type int"),
        (lambda: wrong(answer=3.5), "The answer of record r1 is no text but of the type float"),
        (lambda: wrong(options=["SECRET"]), "record r1: its options are no tuple"),
        (lambda: wrong(spans=((0, 1, 2),)), "record r1: its spans are no tuple of"),
        (lambda: wrong(split="SECRET"), "record r1: its split is none of train, dev"),
        (lambda: wrong(options=("b",), labels=("SECRET",)), "a gold label is not am"),
    ],
)
def test_convert_tells_what_is_no_record_with_the_records_own_message(monkeypatch, tmp_path, made, message):
    def converter(source, conversion):
        yield made() if callable(made) else made

    monkeypatch.setattr(sys.modules["test_conversion"], "read", converter)
    declared = replace(DATASET, options={})
    with pytest.raises(ConverterError, match=message) as caught:
        list(convert(declared, tmp_path, ConversionReport()))
    assert "SECRET" not in str(caught.value)


def test_convert_that_fails_leaves_no_file(source, tmp_path):
    with pytest.raises(BadInput):
        write_records(convert(DATASET, source("a|q|yes", "broken"), ConversionReport()), tmp_path / "out.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["lines.txt"]


@given(st.text())
def test_convert_split_is_a_function_of_the_groups_name(group):
    position = int.from_bytes(hashlib.sha256(group.encode()).digest()[:8]) / 2**64
    expected = "train" if position < 0.8 else "dev" if position < 0.9 else "test"
    assert hashed_split(group) == expected


def test_convert_splits_are_nearly_80_10_10():
    counts = Counter(hashed_split(f"patient {i}") for i in range(20_000))
    assert counts["train"] / 20_000 == pytest.approx(0.8, abs=0.01)
    assert counts["dev"] / 20_000 == pytest.approx(0.1, abs=0.01)
    assert counts["test"] / 20_000 == pytest.approx(0.1, abs=0.01)


@given(rows=st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 99)), max_size=30), seed=st.integers(0, 9))
def test_convert_splits_no_group_and_order_does_not_matter(tmp_path_factory, rows, seed):
    path = tmp_path_factory.mktemp("rows") / "lines.txt"

    def splits(ordered):
        path.write_text("".join(f"{group}|{query}|yes\n" for group, query in ordered), "utf-8")
        return {(r.group, r.query): r.split for r in convert(DATASET, path, ConversionReport())}

    found = splits(rows)
    assert found == splits(random.Random(seed).sample(rows, len(rows)))
    assert len({(group, split) for (group, _), split in found.items()}) == len({group for group, _ in found})


def test_convert_official_split_is_kept_whatever_the_hash_says(source):
    lines = [f"g{i}|q|yes|{split}" for i in range(10) for split in ("train", "dev", "test")]
    done = ConversionReport()
    list(convert(DATASET, source(*lines), done))
    assert done.splits == {"train": 10, "dev": 10, "test": 10}


@pytest.mark.parametrize("place", ["group", "query", "answer", "labels"])
def test_convert_takes_half_of_a_surrogate_pair_for_a_malformed_row(monkeypatch, source, tmp_path, place):
    """JSON may escape one, and no file or tokenizer takes it."""
    broken = {"id": "2", "query": "q", "answer": "a", "source": "rows.json:2"}
    broken[place] = ("so \ud83d",) if place == "labels" else "so \ud83d"

    def read(source, conversion):
        yield Record(id="1", query="q", answer="a")
        yield Record(**broken)

    monkeypatch.setattr("test_conversion.read", read)
    path = source("unused")
    with pytest.raises(BadInput, match=r"lines\.txt:rows\.json:2 holds what is no character"):
        list(convert(DATASET, path, ConversionReport()))
    done = ConversionReport(skip_bad=True)
    assert write_records(convert(DATASET, path, done), tmp_path / "out.jsonl") == 1
    assert done.left_out == {
        "malformed: holds what is no character: bytes that are not UTF-8, or half of a surrogate pair": 1
    }
