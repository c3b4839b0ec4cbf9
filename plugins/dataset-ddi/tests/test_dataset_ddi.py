"""The DDI corpus: inclusive offsets, drugs in pieces, the pairs nobody judged, and XML that is not to be trusted."""

import os
from collections import Counter
from pathlib import Path
from xml.sax.saxutils import quoteattr

import mdkif_dataset_ddi as plugin
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mdkif import BadInput, ConversionReport, convert
from mdkif.testing import assert_conforms

OPEN = Path(os.environ.get("MDKIF_TEST_DATA", Path(__file__).parents[4] / "shared" / "data")) / "DDICorpus"
[DATASET] = plugin.mdkif_datasets()
TRAIN, TEST, NER = "Train/DrugBank", "Test/Test for DDI Extraction task/MedLine", "Test/Test for DrugNER task/MedLine"
TEXT = "Aspirin may increase the effect of warfarin, not of heparin."
OPTIONS = (
    "change of pharmacokinetics",
    "change of effect",
    "advice on combined use",
    "unspecified interaction",
    "no interaction",
)


def offset(word, text=TEXT):
    """The corpus's inclusive charOffset."""
    return f"{text.index(word)}-{text.index(word) + len(word) - 1}"


def pair(number=0, ends=(0, 1), ddi="true", type="effect", document="d1"):
    kind = f' type="{type}"' if type is not None else ""
    e1, e2 = (f"{document}.s0.e{end}" for end in ends)
    return f'<pair id="{document}.s0.p{number}" e1="{e1}" e2="{e2}" ddi="{ddi}"{kind}/>'


def negatives(count, document="d1"):
    return "".join(pair(number, ddi="false", type=None, document=document) for number in range(1, count + 1))


def write(root, place, *pairs, document="d1", text=TEXT, drugs=("Aspirin", "warfarin", "heparin"), offsets=None):
    """One document of one sentence in the official layout."""
    offsets = offsets or [offset(drug, text) for drug in drugs]
    entities = "".join(
        f'<entity id="{document}.s0.e{number}" charOffset="{where}" type="drug" text={quoteattr(drug)}/>'
        for number, (drug, where) in enumerate(zip(drugs, offsets, strict=True))
    )
    folder = root / place
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{document}.xml"
    path.write_text(
        f'<?xml version="1.0" encoding="UTF-8"?>\n<document id="{document}">\n  '
        f'<sentence id="{document}.s0" text={quoteattr(text)}>{entities}{"".join(pairs)}</sentence>\n</document>\n',
        encoding="utf-8",
    )
    return path


def run(source, conversion=None, **options):
    return list(convert(DATASET, source, conversion or ConversionReport(), options))


def test_ddi_conforms():
    assert_conforms("mdkif-dataset-ddi")


def test_ddi_pair_becomes_a_choice_about_its_tagged_sentence(tmp_path):
    write(tmp_path, TRAIN, pair())
    [record] = run(tmp_path)
    assert record.id == "ddi/d1.s0.p0"
    assert record.query == f"How do the drugs e1 and e2 interact? Choose from: {'; '.join(OPTIONS)}."
    assert record.context == "<e1>Aspirin</e1> may increase the effect of <e2>warfarin</e2>, not of heparin."
    assert (record.options, record.labels) == (OPTIONS, ("change of effect",))
    assert record.query[slice(*record.spans[0])] == record.answer == "change of effect"
    assert (record.split, record.group, record.source) == ("train", "d1", "DrugBank/d1.xml")


@pytest.mark.parametrize(
    ("ddi", "kind", "answer"),
    [
        ("true", "mechanism", OPTIONS[0]),
        ("true", "effect", OPTIONS[1]),
        ("true", "advise", OPTIONS[2]),
        ("true", "int", OPTIONS[3]),
        ("false", None, OPTIONS[4]),
    ],
)
def test_ddi_every_official_type_has_a_readable_label(tmp_path, ddi, kind, answer):
    assert [record.answer for record in run(write(tmp_path, TRAIN, pair(ddi=ddi, type=kind)), negatives="all")] == [
        answer
    ]


def test_ddi_first_entity_is_e1_even_where_it_comes_later(tmp_path):
    [record] = run(write(tmp_path, TRAIN, pair(ends=(2, 0))))
    assert record.context == "<e2>Aspirin</e2> may increase the effect of warfarin, not of <e1>heparin</e1>."


def test_ddi_drugs_in_pieces_and_overlapping_ones_are_left_out_and_counted(tmp_path):
    text = "beta and alpha blockers with aspirin"
    drugs, offsets = ("beta blockers", "alpha blockers", "blockers", "aspirin"), ["0-3;15-22", "9-22", "15-22", "29-35"]
    pairs = [pair(number, ends) for number, ends in enumerate([(0, 3), (1, 2), (1, 3)])]
    conversion = ConversionReport()
    [record] = run(write(tmp_path, TRAIN, *pairs, text=text, drugs=drugs, offsets=offsets), conversion)
    assert record.context == "beta and <e1>alpha blockers</e1> with <e2>aspirin</e2>"
    assert conversion.left_out == {"drugs in several pieces or overlapping": 2}


@pytest.mark.parametrize("kind", [None, ""])
def test_ddi_interaction_without_a_type_is_left_out(tmp_path, kind):
    conversion = ConversionReport()
    assert len(run(write(tmp_path, TRAIN, pair(0, type=kind), pair(1)), conversion)) == 1
    assert conversion.left_out == {"interaction without a type": 1}


def test_ddi_folders_with_spaces_give_the_split_and_the_other_test_is_left_out(tmp_path):
    for number, place in enumerate((TRAIN, TEST, NER)):
        document = f"d{number}"
        write(tmp_path, place, pair(document=document), document=document)
    conversion = ConversionReport()
    assert {record.group: record.split for record in run(tmp_path, conversion)} == {"d0": "train", "d1": "test"}
    assert conversion.left_out == {"document of the DrugNER test": 1}
    assert [record.split for record in run(tmp_path / "Test")] == ["test"]
    assert [record.split for record in run(tmp_path / TRAIN / "d0.xml")] == ["train"]


def test_ddi_nearest_folder_decides_and_documents_elsewhere_have_no_official_split(tmp_path):
    write(tmp_path / "Train", TEST, pair())
    assert [record.split for record in run(tmp_path)] == ["test"]
    paths = [write(tmp_path / "elsewhere", "", pair(document=f"d{n}"), document=f"d{n}", text=TEXT) for n in range(60)]
    assert len({record.split for path in paths for record in run(path)}) > 1


def test_ddi_share_of_the_negatives_is_kept_by_seed_and_never_by_order(tmp_path):
    write(tmp_path, TRAIN, pair(), negatives(1000))
    conversion = ConversionReport()
    kept = run(tmp_path, conversion)
    counts = Counter(record.answer for record in kept)
    assert counts["change of effect"] == 1
    assert 120 < counts["no interaction"] < 220
    assert conversion.left_out == {"pair without interaction beyond the share": 1000 - counts["no interaction"]}
    assert run(tmp_path) == run(tmp_path, seed=0) == kept
    assert run(tmp_path, seed=1) != kept
    more = {record.id for record in run(tmp_path, negatives=0.5)}
    assert {record.id for record in kept} < more
    assert (len(run(tmp_path, negatives="all")), len(run(tmp_path, negatives="0"))) == (1001, 1)


@pytest.mark.parametrize("share", ["none", "-0.1", "1.1", "nan", "inf", ""])
def test_ddi_share_that_is_none_is_named(tmp_path, share):
    write(tmp_path, TRAIN, pair())
    with pytest.raises(BadInput, match="a number from 0 to 1, or all"):
        run(tmp_path, negatives=share)


def test_ddi_id_that_recurs_is_left_out(tmp_path):
    conversion = ConversionReport()
    write(tmp_path, TRAIN, pair(), pair())
    write(tmp_path, TEST, pair())
    assert [record.split for record in run(tmp_path, conversion)] == ["test"]
    assert conversion.left_out == {"duplicate id": 2}


@pytest.mark.parametrize(
    "wrong",
    [
        {"offsets": ["1-7", "35-42", "52-58"]},
        {"offsets": ["0-7", "35-42", "52-58"]},  # read as exclusive by mistake
        {"offsets": ["x", "35-42", "52-58"]},
        {"offsets": ["0-6-9", "35-42", "52-58"]},
        {"offsets": ["900-906", "35-42", "52-58"]},
        {"offsets": ["-7--1", "35-42", "52-58"]},
        {"drugs": ["", "warfarin", "heparin"], "offsets": ["5-4", "35-42", "52-58"]},
        {"pairs": pair(ends=(0, 9))},
        {"pairs": pair(type="SECRET")},
        {"pairs": pair(ddi="maybe")},
        {"pairs": pair().replace(' ddi="true"', "")},
        {"pairs": pair().replace(' id="d1.s0.p0"', "")},
    ],
)
def test_ddi_malformed_pair_is_named_by_sentence_or_skipped(tmp_path, wrong):
    write(tmp_path, TRAIN, pair(document="good"), document="good")
    write(tmp_path, TRAIN, wrong.pop("pairs", pair()), **wrong)
    with pytest.raises(BadInput, match=r"d1\.xml:sentence 1 has a pair without") as caught:
        run(tmp_path)
    assert "SECRET" not in str(caught.value)
    assert "Aspirin" not in str(caught.value)
    conversion = ConversionReport(skip_bad=True)
    assert [record.group for record in run(tmp_path, conversion)] == ["good"]
    assert sum(conversion.left_out.values()) == 1


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE document [<!ENTITY a "SECRET">'
    + "".join(f'<!ENTITY {name} "{f"&{last};" * 10}">' for last, name in zip("abcdefgh", "bcdefghi", strict=True))
    + ']><document id="d1"><sentence text="&i;"/></document>'
)


@pytest.mark.parametrize(
    "content",
    [
        BOMB.encode(),
        b'<!DOCTYPE document SYSTEM "file:///etc/passwd"><document id="d1"/>',
        b"",
        b"\0\0\0",
        b"<document id='d1'>",
        b"<document/>",
        b"<html id='d1'/>",
        b"SECRET",
        "<document id='d1'>é</document>".encode("latin-1"),
        BOMB.encode("utf-16"),
        b"<document id='d1'>\0</document>",
        b"<document id='d1'>&bomb;</document>",
    ],
)
def test_ddi_file_that_is_no_document_is_refused_unexpanded_or_skipped(tmp_path, content):
    path = write(tmp_path, TRAIN, pair())
    bad = path.with_name("a.xml")
    bad.write_bytes(content)
    with pytest.raises(BadInput, match=r"a\.xml:1 is not a document of the DDI corpus") as caught:
        run(tmp_path)
    assert "SECRET" not in str(caught.value)
    conversion = ConversionReport(skip_bad=True)
    assert len(run(tmp_path, conversion)) == 1
    assert sum(conversion.left_out.values()) == 1


def test_ddi_byte_order_mark_crlf_and_a_very_long_sentence_are_read(tmp_path):
    path = write(tmp_path, TRAIN, pair(), text=TEXT + " x" * 500_000)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    [record] = run(path)
    assert len(record.context) == len(TEXT) + 1_000_000 + 2 * len("<e1></e1>")


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.sampled_from(["aspirin", "x", "β-blockers", "&", '"', "<e1>", "  "]), min_size=2, max_size=8), st.data()
)
def test_ddi_tags_surround_the_two_drugs_and_nothing_else_changes(tmp_path_factory, words, data):
    text, places = "", []
    for word in words:
        places.append((len(text), len(text) + len(word) - 1))
        text += word + " "
    first, second = data.draw(st.permutations(range(len(words))))[:2]
    path = write(
        tmp_path_factory.mktemp("ddi"),
        TRAIN,
        pair(ends=(first, second)),
        text=text,
        drugs=words,
        offsets=[f"{start}-{end}" for start, end in places],
    )
    [record] = run(path)
    expected = list(words)
    expected[first], expected[second] = f"<e1>{words[first]}</e1>", f"<e2>{words[second]}</e2>"
    assert record.context == " ".join(" ".join(expected).split())


def test_ddi_missing_sources_and_unknown_options_are_named(tmp_path):
    with pytest.raises(BadInput, match="no XML documents"):
        run(tmp_path)
    with pytest.raises(BadInput, match="does not exist"):
        run(tmp_path / "nowhere")
    with pytest.raises(BadInput, match="no option 'view': its options are negatives, seed"):
        run(tmp_path, view="x")


needs_open_data = pytest.mark.skipif(
    not OPEN.is_dir(), reason=f"the DDI corpus is not at {OPEN}; set MDKIF_TEST_DATA to its parent folder"
)


@needs_open_data
def test_ddi_official_counts():
    conversion = ConversionReport()
    records = run(OPEN, conversion, negatives="all")
    interacting = Counter(record.split for record in records if record.answer != "no interaction")
    others = Counter(record.split for record in records if record.answer == "no interaction")
    # officially 4,021 and 979, 23,771 and 4,737, of which these lack 158 pairs that are left out
    assert interacting == {"train": 4021 - 1 - 22, "test": 979 - 3}
    assert others == {"train": 23_771 - 107, "test": 4_737 - 25}
    assert conversion.left_out == {
        "drugs in several pieces or overlapping": 157,
        "interaction without a type": 1,
        "document of the DrugNER test": 112,
    }
    assert len({record.id for record in records}) == len(records)
    splits: dict[str, str] = {}
    for record in records:
        assert splits.setdefault(record.group, record.split) == record.split


@needs_open_data
def test_ddi_by_default_about_as_many_pairs_do_not_interact_as_do():
    counts = Counter((record.split, record.answer == "no interaction") for record in run(OPEN))
    assert 0.9 < counts["train", True] / counts["train", False] < 1.1
    assert 0.7 < counts["test", True] / counts["test", False] < 1.0
