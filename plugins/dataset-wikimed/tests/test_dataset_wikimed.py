"""WikiMed: types of mentions that become labels, and lines nobody can read."""

import gzip
import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mdkif import BadInput, ConversionReport, convert
from mdkif.testing import assert_conforms
from mdkif_dataset_wikimed import LONGEST, mdkif_datasets
from mdkif_dataset_wikimed.semantic_types import CLASS_OF, CLASSES

[WIKIMED] = mdkif_datasets()
TYPES = {
    "C0000001": ["T047|Disease or Syndrome"],
    "C0000002": ["T109|Organic Chemical", "T121|Pharmacologic Substance"],
    "C0000003": ["T023|Body Part, Organ, or Organ Component"],
    "C0000004": ["T110|Steroid"],  # retired, so without a class
    "C9999999": ["T200|Clinical Drug"],
}


def type_rows(types):
    return "".join(f"{cui}|{kind.replace('|', '|A1.2|')}|AT1|256|\n" for cui, kinds in types.items() for kind in kinds)


def document(*links, name="12", split="train", text="Aspirin is a drug.", **changes):
    """One article in the layout of wikimed.json."""
    mentions = [{"mention": "Aspirin", "start_offset": 0, "end_offset": 7, "link_id": link} for link in links]
    return {"_id": name, "text": text, "title": "Aspirin", "split": split, "mentions": mentions, **changes}


@pytest.fixture
def release(tmp_path):
    """The folder of a UMLS release."""
    (tmp_path / "2025AB" / "META").mkdir(parents=True)
    (tmp_path / "2025AB" / "META" / "MRSTY.RRF").write_text(type_rows(TYPES))
    return tmp_path / "2025AB"


@pytest.fixture
def wikimed(tmp_path, release):
    """A writer of wikimed.json; it returns a function that converts it."""

    def write(*rows, name="wikimed.json", encoding="utf-8"):
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        (tmp_path / name).write_text("\n".join(lines) + "\n", encoding=encoding)
        return lambda conversion=None: run(tmp_path / name, release, conversion)

    return write


def run(source, mrsty, conversion=None):
    return list(convert(WIKIMED, source, conversion or ConversionReport(), {"mrsty": str(mrsty)}))


def test_wikimed_conforms():
    assert_conforms("mdkif-dataset-wikimed")


# Documents and their labels


def test_wikimed_document_has_the_classes_of_its_mentions(wikimed):
    [record] = wikimed(document("C0000003", "C0000001", "C0000001"))()
    assert (record.id, record.group, record.source) == ("wikimed/12/1", "12", "wikimed.json:1")
    assert record.query.startswith("Which types of medical concepts does the document mention? Choose from: Activities")
    assert record.context == "Aspirin is a drug."
    assert (record.answer, record.labels) == ("Anatomy; Disease or Syndrome", ("Anatomy", "Disease or Syndrome"))
    assert [record.query[start:end] for start, end in record.spans] == list(record.labels)
    assert record.options == CLASSES


@pytest.mark.parametrize(
    ("link", "labels"),
    [
        ("C0000002", {"Organic Chemical", "Pharmacologic Substance"}),  # one concept, two types
        ("C0000001|C0000003", {"Disease or Syndrome", "Anatomy"}),
        ("C0000001|C0000004|C1234567", {"Disease or Syndrome"}),
        ("C9999999", {"Pharmacologic Substance"}),
    ],
)
def test_wikimed_several_concepts_and_types_of_one_mention(wikimed, link, labels):
    [record] = wikimed(document(link))()
    assert set(record.labels) == labels


@pytest.mark.parametrize("links", [(), ("C0000004",), ("C1234567",), ("",), ("C00000011",), ("Q18216",)])
def test_wikimed_document_without_a_label_is_left_out_and_counted(wikimed, links):
    conversion = ConversionReport()
    [record] = wikimed(document(*links), document("C0000001", name="kept"))(conversion)
    assert record.group == "kept"
    assert conversion.left_out == {"no mention of a concept with a class": 1}


def test_wikimed_document_without_text_is_left_out_and_counted(wikimed):
    conversion = ConversionReport()
    assert wikimed(document("C0000001", text=" \n"))(conversion) == []
    assert conversion.left_out == {"empty text": 1}


def test_wikimed_official_splits_are_kept_and_valid_is_dev(wikimed):
    conversion = ConversionReport()
    rows = [document("C0000001", name=split, split=split) for split in ("train", "valid", "test")]
    assert [record.split for record in wikimed(*rows)(conversion)] == ["train", "dev", "test"]
    assert conversion.splits == {"train": 1, "dev": 1, "test": 1}


def test_wikimed_repeated_ids_stay_unique_and_one_group(wikimed):
    records = wikimed(document("C0000001"), "", document("C0000001"))()
    assert [record.id for record in records] == ["wikimed/12/1", "wikimed/12/3"]
    assert {record.group for record in records} == {"12"}


@given(st.text().filter(str.strip), st.sets(st.sampled_from(sorted(TYPES)), min_size=1))
def test_wikimed_any_text_and_any_concepts_are_read(tmp_path_factory, text, concepts):
    folder = tmp_path_factory.mktemp("wikimed")
    (folder / "MRSTY.RRF").write_text(type_rows(TYPES))
    (folder / "wikimed.json").write_text(json.dumps(document(*concepts, "C0000001", text=text), ensure_ascii=False))
    [record] = run(folder, folder)
    assert record.context == text.strip()
    named = {kind.partition("|")[2] for concept in (*concepts, "C0000001") for kind in TYPES[concept]}
    assert set(record.labels) == {CLASS_OF[name] for name in named if name in CLASS_OF}


# The table of classes


def test_wikimed_every_class_has_a_type_and_every_type_of_the_network_one_class():
    assert set(CLASS_OF.values()) == set(CLASSES)
    assert (len(CLASSES), len(CLASS_OF)) == (24, 127)
    assert list(CLASSES) == sorted(CLASSES)


@pytest.mark.parametrize(
    ("kind", "label"),
    [
        ("Neoplastic Process", "Neoplastic Process"),  # a class of its own
        ("Injury or Poisoning", "Disorders"),  # what the rest of its group is
        ("Amino Acid, Peptide, or Protein", "Chemicals & Drugs"),
        ("Laboratory or Test Result", "Phenomena"),
        ("Geographic Area", "Objects"),  # the two that leave their group
        ("Clinical Drug", "Pharmacologic Substance"),
    ],
)
def test_wikimed_types_belong_to_medtypes_classes(kind, label):
    assert CLASS_OF[kind] == label


# Finding and reading the files


def test_wikimed_folder_and_the_file_are_the_same_source(wikimed, tmp_path, release):
    expected = wikimed(document("C0000001"))()
    assert run(tmp_path, release) == expected
    assert len(expected) == 1


@pytest.mark.parametrize("place", ["", "META", "META/MRSTY.RRF"])
def test_wikimed_types_may_be_given_as_release_meta_folder_or_file(wikimed, tmp_path, release, place):
    wikimed(document("C0000001"))
    assert len(run(tmp_path, release / place)) == 1


def test_wikimed_byte_order_marks_and_windows_line_ends_change_nothing(wikimed, release):
    plain = wikimed(document("C0000001"))()
    path = release / "META" / "MRSTY.RRF"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert wikimed(document("C0000001"), "\r", encoding="utf-8-sig")() == plain
    assert len(plain) == 1


def test_wikimed_missing_files_are_named_with_the_remedy(wikimed, tmp_path, release):
    with pytest.raises(BadInput, match=r"no wikimed\.json in .*: give the file of WikiMed"):
        run(release, release)
    wikimed(document("C0000001"))
    with pytest.raises(BadInput, match=r"no MRSTY\.RRF at .*: let MetamorphoSys write it"):
        run(tmp_path, tmp_path)
    with pytest.raises(BadInput, match=r"add --data mrsty=PATH"):
        list(convert(WIKIMED, tmp_path, ConversionReport()))
    with pytest.raises(BadInput, match="its options are mrsty"):
        list(convert(WIKIMED, tmp_path, ConversionReport(), {"umls": "x"}))


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[1]",
        "null",
        "[" * 100_000,
        '{"_id": "SECRET"}',
        json.dumps(document("C0000001", split="SECRET")),
        json.dumps(document("C0000001", split=["train"])),
        json.dumps(document("C0000001", name=12)),
        json.dumps(document("C0000001", text=None)),
        json.dumps(document("C0000001", text="\ud800")),
        json.dumps(document(mentions=None)),
        json.dumps(document(mentions=["SECRET"])),
        json.dumps(document(mentions=[{"mention": "SECRET"}])),
        json.dumps(document(None)),
        json.dumps(document("C0000001"))[:-30],
        "\0" + json.dumps(document("C0000001")),
        "1" * 5_000,
        "x" * 2**20,
    ],
)
def test_wikimed_malformed_document_is_named_by_line_or_skipped(wikimed, line):
    read = wikimed(document("C0000001"), line, document("C0000001"))
    with pytest.raises(BadInput, match=r"wikimed\.json:2 is not a document with _id, text, mentions") as caught:
        read()
    assert "SECRET" not in str(caught.value)
    conversion = ConversionReport(skip_bad=True)
    assert [record.source for record in read(conversion)] == ["wikimed.json:1", "wikimed.json:3"]
    assert sum(conversion.left_out.values()) == 1


def test_wikimed_absurd_line_is_passed_over_without_being_held(wikimed):
    read = wikimed(document("C0000001", text="x" * (3 * LONGEST)), document("C0000001", name="next"))
    with pytest.raises(BadInput, match=r"wikimed\.json:1 is longer than 8 MiB"):
        read()
    tracemalloc.start()
    [record] = read(ConversionReport(skip_bad=True))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert record.id == "wikimed/next/2"
    assert peak < 2.5 * LONGEST  # readline joins parts


def test_wikimed_files_that_are_not_wikimed_are_refused_or_skipped(tmp_path, release):
    packed = gzip.compress(json.dumps(document("C0000001")).encode() * 100)
    for content in (packed[:50], "naïve".encode("latin-1"), b"\xff\xfe{", b"PK\x03\x04\n\n"):
        (tmp_path / "wikimed.json").write_bytes(content)
        with pytest.raises(BadInput, match=r"wikimed\.json:1 is not a document"):
            run(tmp_path, release)
        assert run(tmp_path, release, ConversionReport(skip_bad=True)) == []
    (tmp_path / "wikimed.json").write_bytes(b"")
    assert run(tmp_path, release) == []


@pytest.mark.parametrize(
    "row",
    [
        "C0000001|T047|B2.2|Disease or Syndrome|AT1",  # no | after the last field
        "C0000001|T047|B2.2|Disease or Syndrome|",
        "C0000001|T047|B2.2|Disease or Syndrome|AT1|256|more|",
        "C001|T047|B2.2|Disease or Syndrome|AT1|256|",
        "C00000012|T047|B2.2|Disease or Syndrome|AT1|256|",
        "C٠٠٠٠٠٠١|T047|B2.2|Disease or Syndrome|AT1|256|",
        "x" * 2**20,
    ],
)
def test_wikimed_malformed_row_of_types_is_named_by_line_or_skipped(wikimed, release, row):
    (release / "META" / "MRSTY.RRF").write_text(type_rows(TYPES) + row + "\n", encoding="utf-8")
    read = wikimed(document("C0000001"))
    with pytest.raises(BadInput, match=r"MRSTY\.RRF:7 does not have the six fields"):
        read()
    conversion = ConversionReport(skip_bad=True)
    assert len(read(conversion)) == 1
    assert sum(conversion.left_out.values()) == 1


@pytest.mark.parametrize("content", ["", type_rows({"C0000004": TYPES["C0000004"]}), "C0000001|ENG|P|L1|\n"])
def test_wikimed_types_of_no_known_concept_are_refused(wikimed, release, content):
    (release / "META" / "MRSTY.RRF").write_text(content)
    with pytest.raises(BadInput, match="gives no concept a known semantic type"):
        wikimed(document("C0000001"))(ConversionReport(skip_bad=True))
