"""Hallmarks of Cancer: labels of sentences that become labels of abstracts, and files that do not fit together."""

import os
from collections import Counter
from pathlib import Path

import mdkif_dataset_hoc as plugin
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mdkif import BadInput, ConversionReport, convert
from mdkif.testing import assert_conforms

OPEN = Path(os.environ.get("MDKIF_TEST_DATA", Path(__file__).parents[4] / "shared" / "data")) / "HoC"
[HOC] = plugin.mdkif_datasets()
DEATH, SENESCENCE = "Resisting cell death", "Enabling replicative immortality"


@pytest.fixture
def hoc(tmp_path):
    """A writer of one abstract in the official layout; it returns the repository's folder."""
    return lambda *sentences, name="11724768.txt": write(tmp_path, *sentences, name=name)


def write(folder, *sentences, name="11724768.txt"):
    """`sentences` are (text, labels); official text files end with a newline, labels files do not."""
    for kind in ("text", "labels"):
        (folder / kind).mkdir(exist_ok=True)
    (folder / "text" / name).write_text("".join(f"{text}\n" for text, _ in sentences), encoding="utf-8")
    (folder / "labels" / name).write_text("".join(f"<{labels}" for _, labels in sentences), encoding="utf-8")
    return folder


def run(source, conversion=None, **options):
    return list(convert(HOC, source, conversion or ConversionReport(), options))


def test_hoc_conforms():
    assert_conforms("mdkif-dataset-hoc")


def test_hoc_abstract_has_the_top_level_labels_of_all_its_sentences(hoc):
    labels = (" ", "Resisting cell death--Apoptosis", f"{SENESCENCE}--Senescence")
    [record] = run(hoc(*((f"Sentence {n} .", label) for n, label in enumerate(labels))))
    assert (record.id, record.group, record.source) == ("hoc/11724768", "11724768", "text/11724768.txt")
    assert record.context == "Sentence 0 .\nSentence 1 .\nSentence 2 ."
    assert record.query.startswith("Which hallmarks of cancer does the abstract describe? Choose from: Sustaining")
    assert set(record.labels) == {DEATH, SENESCENCE}
    assert [record.query[start:end] for start, end in record.spans] == list(record.labels)
    assert record.answer == "; ".join(record.labels)
    assert len(record.options) == 10


@pytest.mark.parametrize(
    ("segment", "expected"),
    [
        ("Resisting cell death--Necrosis ANDResisting cell death--Apoptosis", {DEATH}),  # no blank after AND
        (f"{DEATH}--Apoptosis AND  {SENESCENCE}--", {DEATH, SENESCENCE}),
        ("Resisting cell death--", {DEATH}),
        ("Resisting cell death", {DEATH}),
        ("  Avoiding immune destruction--Immune response", {"Avoiding immune destruction"}),
        ("Tumor promoting inflammation--Inflammation--Oxidative stress", {"Tumor promoting inflammation"}),
        ("Cellular energetics--Glycolysis/Warburg effect", {"Cellular energetics"}),
    ],
)
def test_hoc_labels_of_one_sentence(hoc, segment, expected):
    [record] = run(hoc(("One .", segment), ("Two .", " ")))
    assert set(record.labels) == expected


@pytest.mark.parametrize("segment", ["", " ", "NULL", " NULL"])
def test_hoc_abstract_without_a_hallmark_is_left_out_or_kept_as_none(hoc, segment):
    source, conversion = hoc(("One .", segment)), ConversionReport()
    assert run(source, conversion) == run(source, keep_empty="no") == []
    assert conversion.left_out == {"no hallmark": 1}
    [record] = run(source, keep_empty="yes")
    assert (record.answer, record.labels, record.spans) == ("none", (), ())
    assert len(record.options) == 10


def test_hoc_empty_text_is_left_out(hoc):
    source, conversion = hoc(("", f"{DEATH}--")), ConversionReport()
    assert run(source, conversion, keep_empty="yes") == []
    assert conversion.left_out == {"empty text": 1}


def test_hoc_abstracts_come_in_the_order_of_their_names_and_splits_are_made_up(hoc):
    names = [f"{n}.txt" for n in range(99, 59, -1)]
    for name in names:
        source = hoc(("One .", f"{DEATH}--"), name=name)
    conversion = ConversionReport()
    assert [record.source for record in run(source, conversion)] == [f"text/{name}" for name in sorted(names)]
    assert set(conversion.splits) == {"train", "dev", "test"}


def test_hoc_windows_line_ends_and_byte_order_marks_change_nothing(hoc):
    source = hoc(("One .", " "), ("Two .", f"{DEATH}--"))
    plain = run(source)
    for kind in ("text", "labels"):
        path = source / kind / "11724768.txt"
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert run(source) == plain
    assert len(plain) == 1


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1),
            st.lists(st.sampled_from(plugin.HALLMARKS)),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_hoc_any_labelling_is_read_back(tmp_path_factory, abstract):
    written = [(text, " AND".join(f"{label}--x" for label in labels)) for text, labels in abstract]
    [record] = run(write(tmp_path_factory.mktemp("hoc"), *written), keep_empty="yes")
    assert record.context.split("\n") == [text for text, _ in abstract]
    assert set(record.labels) == {label for _, labels in abstract for label in labels}


def test_hoc_another_value_of_keep_empty_is_refused(hoc):
    with pytest.raises(BadInput, match="keep_empty cannot be 'maybe': choose no or yes"):
        run(hoc(("One .", " ")), keep_empty="maybe")
    with pytest.raises(BadInput, match="its options are keep_empty"):
        run(hoc(("One .", " ")), level="top")


@pytest.mark.parametrize(
    ("kind", "content", "reason"),
    [
        ("labels", None, "is missing beside its text or labels"),
        ("text", None, "is missing beside its text or labels"),
        ("labels", b"", "does not have a < and labels"),
        ("labels", b"SECRET< ", "does not have a < and labels"),
        ("labels", b"< < ", "does not have a < and labels"),
        ("text", b"SECRET\nSECRET\n", "does not have a < and labels"),
        ("labels", b"<SECRET--x", "names a class that is none of the ten"),
        ("labels", b"<NULL\0", "names a class that is none of the ten"),
        ("labels", b"<" + b"x" * 2**20, "names a class that is none of the ten"),
        ("text", b"na\xefve\n", "is not UTF-8"),
        ("labels", b"<\xff", "is not UTF-8"),
        ("text", b"\x1f\x8b\x08\x00SECRET", "is not UTF-8"),  # a truncated gzip
    ],
)
def test_hoc_file_that_does_not_fit_is_named_or_skipped(hoc, kind, content, reason):
    hoc(("One .", f"{DEATH}--"), name="1.txt")
    source = hoc(("One .", f"{DEATH}--"), name="2.txt")
    path = source / kind / "2.txt"
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(BadInput, match=rf"2\.txt:1 {reason}") as caught:
        run(source)
    assert "SECRET" not in str(caught.value)
    conversion = ConversionReport(skip_bad=True)
    assert [record.id for record in run(source, conversion)] == ["hoc/1"]
    assert sum(conversion.left_out.values()) == 1


def test_hoc_wrong_folders_are_refused(hoc, tmp_path):
    with pytest.raises(BadInput, match="does not exist"):
        run(tmp_path / "nowhere")
    with pytest.raises(BadInput, match=r"no text/\*\.txt and labels/\*\.txt"):
        run(tmp_path)
    source = hoc(("One .", " "))
    for wrong in (source / "text", source / "text" / "11724768.txt"):
        with pytest.raises(BadInput, match="give the folder of the Hallmarks-of-Cancer repository"):
            run(wrong)


@pytest.mark.skipif(not OPEN.is_dir(), reason=f"HoC is not at {OPEN}; set MDKIF_TEST_DATA to its parent folder")
def test_hoc_official_counts():
    conversion = ConversionReport()
    records = run(OPEN, conversion)
    assert (len(records), conversion.left_out) == (1_580, {"no hallmark": 272})
    assert sum(len(record.labels) > 1 for record in records) == 660
    assert {record.options for record in records} == {plugin.HALLMARKS}
    counts = Counter(label for record in records for label in record.labels)
    assert counts["Sustaining proliferative signaling"] == 462
    assert counts["Cellular energetics"] == 105
    everything = run(OPEN, keep_empty="yes")
    assert len({record.id for record in everything}) == 1_852
    assert sum(record.answer == "none" for record in everything) == 272
    assert sum(len(record.context.split("\n")) for record in everything) == 17_464
