"""The NCBI Disease corpus: mentions at their offsets, the official counts, and rows that cannot be read."""

import os
from contextlib import suppress
from pathlib import Path

import mdkif_dataset_ncbi_disease as plugin
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mdkif import BadInput, ConversionReport, convert
from mdkif.testing import assert_conforms

[DATASET] = plugin.mdkif_datasets()
OPEN = Path(os.environ.get("MDKIF_TEST_DATA", Path(__file__).parents[4] / "shared" / "data")) / "NCBI-disease"

POLYPOSIS = [("The", "O"), ("adenomatous", "B-Disease"), ("polyposis", "I-Disease"), ("gene", "O"), (".", "O")]
NOTHING = [("Identification", "O"), ("of", "O"), ("APC2", "O")]


def write(folder, name="train.tsv", *sentences, end="\n", encoding="utf-8"):
    """A file in the official layout: a blank line after each sentence."""
    rows = [row for sentence in sentences for row in [*("\t".join(pair) for pair in sentence), ""]]
    path = folder / name
    path.write_bytes("".join(row + end for row in rows).encode(encoding))
    return path


def run(source, conversion=None, **options):
    return list(convert(DATASET, source, conversion or ConversionReport(), options))


def texts(record):
    return [record.context[start:end] for start, end in record.spans]


def test_ncbi_disease_conforms():
    assert_conforms("mdkif-dataset-ncbi-disease")


def test_ncbi_disease_sentence_becomes_the_papers_lines(tmp_path):
    write(tmp_path, "train.tsv", NOTHING, POLYPOSIS)
    conversion = ConversionReport()
    [record] = run(tmp_path, conversion)
    assert record.query == 'Which diseases does the text name? Write one "disease: entity" a line.'
    assert record.context == record.group == "The adenomatous polyposis gene ."
    assert (record.answer, record.labels) == ("disease: adenomatous polyposis", ("disease: adenomatous polyposis",))
    assert texts(record) == ["adenomatous polyposis"]
    assert (record.id, record.source) == ("ncbi-disease/train/5", "train.tsv:5")
    assert conversion.left_out == {"no disease": 1}


def test_ncbi_disease_sentences_without_a_disease_are_kept_on_demand(tmp_path):
    write(tmp_path, "test.tsv", NOTHING, POLYPOSIS)
    empty, _ = run(tmp_path, keep_empty="yes")
    assert (empty.context, empty.answer, empty.labels, empty.spans) == ("Identification of APC2", "none", (), ())


def test_ncbi_disease_files_are_the_official_splits(tmp_path):
    for name in ("train.tsv", "devel.tsv", "test.tsv"):
        write(tmp_path, name, POLYPOSIS, POLYPOSIS)
    records = run(tmp_path)
    assert [record.split for record in records] == ["train"] * 2 + ["dev"] * 2 + ["test"] * 2
    assert len({record.id for record in records}) == 6
    assert len({record.group for record in records}) == 1
    assert {record.split for record in run(tmp_path / "devel.tsv")} == {"dev"}
    (tmp_path / "train.tsv").unlink()
    assert {record.split for record in run(tmp_path)} == {"dev", "test"}


def test_ncbi_disease_b_tag_begins_a_mention_even_inside_one(tmp_path):
    tags = ["B-Disease", "B-Disease", "I-Disease", "O", "B-Disease"]
    write(tmp_path, "train.tsv", list(zip("abcde", tags, strict=True)))
    [record] = run(tmp_path)
    assert texts(record) == ["a", "b c", "e"]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_ncbi_disease_line_ends_and_a_byte_order_mark_change_nothing(tmp_path, end, encoding):
    write(tmp_path, "train.tsv", POLYPOSIS, [("Ménière", "B-Disease")], end=end, encoding=encoding)
    assert [record.context for record in run(tmp_path)] == ["The adenomatous polyposis gene .", "Ménière"]


def test_ncbi_disease_file_may_end_without_a_blank_line_and_have_many(tmp_path):
    (tmp_path / "dev").mkdir()
    (tmp_path / "train.tsv").write_text("\n\nanthrax\tB-Disease\n\n\n\nmumps\tB-Disease")
    assert [(record.answer, record.source) for record in run(tmp_path)] == [
        ("disease: anthrax", "train.tsv:3"),
        ("disease: mumps", "train.tsv:7"),
    ]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("SECRET", "is not a token"),
        ("SECRET\tO\tO", "is not a token"),
        ("SECRET\tB-Chemical", "is not a token"),
        ("SECRET B-Disease", "is not a token"),
        ("\tO", "is not a token"),
        ("SEC RET\tO", "is not a token"),
        ("SECRET\0", "is not a token"),
        ("SECRET\tI-Disease", "continues a mention"),
        ("SECRET" * 200_000, "is not a token"),
    ],
)
def test_ncbi_disease_malformed_row_takes_its_sentence_with_it(tmp_path, row, reason):
    """Without one token the offsets of the others would be of another text."""
    path = write(tmp_path, "train.tsv", POLYPOSIS, POLYPOSIS)
    lines = path.read_text().split("\n")
    path.write_text("\n".join([*lines[:6], row, row, *lines[6:]]))
    with pytest.raises(BadInput, match=rf"train\.tsv:7 {reason}") as caught:
        run(tmp_path)
    assert "SECRET" not in str(caught.value)
    conversion = ConversionReport(skip_bad=True)
    assert [record.source for record in run(tmp_path, conversion)] == ["train.tsv:1"]
    assert sum(conversion.left_out.values()) == 1


def test_ncbi_disease_latin_1_is_refused_and_an_empty_file_has_no_records(tmp_path):
    path = write(tmp_path, "train.tsv", [("Ménière", "B-Disease")], encoding="latin-1")
    with pytest.raises(BadInput, match=r"bytes that are not UTF-8"):
        run(tmp_path)
    path.write_bytes(b"")
    assert run(tmp_path) == []


def test_ncbi_disease_very_long_token_is_read(tmp_path):
    write(tmp_path, "train.tsv", [("itis" * 250_000, "B-Disease")])
    [record] = run(tmp_path)
    assert record.spans == ((0, 1_000_000),)


TOKEN = st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1, max_size=5)


@given(st.lists(st.lists(st.tuples(TOKEN, st.booleans()), min_size=1, max_size=5), min_size=1, max_size=5))
def test_ncbi_disease_every_mention_is_found_at_its_offsets(tmp_path_factory, chunks):
    """A sentence of chunks, each of plain tokens or one mention."""
    rows, mentions = [], []
    for chunk in chunks:
        words = [token for token, _ in chunk]
        if chunk[0][1]:
            rows += [(token, "I-Disease" if n else "B-Disease") for n, token in enumerate(words)]
            mentions.append(" ".join(words))
        else:
            rows += [(token, "O") for token in words]
    folder = tmp_path_factory.mktemp("ncbi")
    write(folder, "test.tsv", rows)
    [record] = run(folder, keep_empty="yes")
    assert record.context == " ".join(token for token, _ in rows)
    assert texts(record) == mentions
    assert record.answer == ("\n".join(f"disease: {mention}" for mention in mentions) or "none")


@given(st.binary(max_size=200))
def test_ncbi_disease_any_bytes_are_read_or_refused(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("bytes")
    (folder / "train.tsv").write_bytes(content)
    with suppress(BadInput):
        for record in run(folder, ConversionReport(skip_bad=True), keep_empty="yes"):
            assert record.context.split(" ") == record.context.split()


def test_ncbi_disease_wrong_options_and_sources_are_named(tmp_path):
    with pytest.raises(BadInput, match="does not exist"):
        run(tmp_path / "nowhere")
    with pytest.raises(BadInput, match=r"none of train\.tsv, devel\.tsv, test\.tsv"):
        run(tmp_path)
    path = write(tmp_path, "train.tsv", POLYPOSIS)
    with pytest.raises(BadInput, match="'keep_empty' is 'true': choose from yes, no"):
        run(path, keep_empty="true")
    with pytest.raises(BadInput, match=r"none of train\.tsv"):
        run(path.rename(tmp_path / "tokens.tsv"))


@pytest.mark.skipif(
    not OPEN.is_dir(), reason=f"NCBI-disease is not at {OPEN}; set MDKIF_TEST_DATA to its parent folder"
)
def test_ncbi_disease_official_counts():
    conversion = ConversionReport()
    records = run(OPEN, conversion, keep_empty="yes")
    assert conversion.splits == {"train": 5424, "dev": 923, "test": 940}
    assert not conversion.left_out
    mentions = {split: sum(len(r.spans) for r in records if r.split == split) for split in conversion.splits}
    assert mentions == {"train": 5134, "dev": 787, "test": 960}
    assert len({record.id for record in records}) == len(records)
    for record in records:
        assert [f"disease: {text}" for text in texts(record)] == list(record.labels)
