"""MedNLI: official splits, premises that three hypotheses share, and rows that cannot be read."""

import json

import mdkif_dataset_mednli as plugin
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mdkif import BadInput, ConversionReport, convert
from mdkif.testing import assert_conforms

DATASET = plugin.mdkif_datasets()[0]
LABELS = ("entailment", "neutral", "contradiction")


def row(label="neutral", pair="p1", **changes):
    """One pair in the layout of mli_*_v1.jsonl, parses included."""
    parses = {f"sentence{n}_{kind}": "(ROOT (S x))" for n in (1, 2) for kind in ("parse", "binary_parse")}
    sentences = {"sentence1": "Seen on [**2100-1-1**] for a cough. ", "sentence2": "The patient coughs."}
    return {"gold_label": label, "pairID": pair, **sentences, **parses, **changes}


def write(folder, split, *rows):
    lines = [line if isinstance(line, str) else json.dumps(line) for line in rows]
    path = folder / f"mli_{split}_v1.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def mednli(tmp_path):
    """The unpacked folder: three hypotheses of one premise in each file."""
    for split in ("train", "dev", "test"):
        write(tmp_path, split, *(row(label, f"p{number}") for number, label in enumerate(LABELS)))
    for name in ("README.txt", "SHA256SUMS.txt"):
        (tmp_path / name).write_text("not data")
    return tmp_path


def run(source, conversion=None):
    return list(convert(DATASET, source, conversion or ConversionReport()))


def test_mednli_conforms():
    assert_conforms("mdkif-dataset-mednli")


def test_mednli_pair_becomes_the_papers_example(mednli):
    record = run(mednli)[0]
    assert record.id == "mednli/train/p0"
    assert record.query == (
        "Determine the relationship between the two sentences. Choose from: entailment; neutral; contradiction."
    )
    assert record.context == "sentence1: Seen on [**2100-1-1**] for a cough.\nsentence2: The patient coughs."
    assert (record.answer, record.options, record.labels) == ("entailment", LABELS, ("entailment",))
    assert record.query[slice(*record.spans[0])] == "entailment"
    assert record.source == "mli_train_v1.jsonl:1"


def test_mednli_official_splits_are_kept_and_ids_are_unique(mednli):
    conversion = ConversionReport()
    records = run(mednli, conversion)
    assert conversion.splits == {"train": 3, "dev": 3, "test": 3}
    assert len({record.id for record in records}) == 9
    assert [record.answer for record in records] == list(LABELS) * 3


def test_mednli_hypotheses_of_one_premise_are_one_group(mednli):
    assert {record.group for record in run(mednli)} == {"Seen on [**2100-1-1**] for a cough."}
    write(mednli, "dev", row(), row(pair="p2", sentence1="Another note."))
    assert len({record.group for record in run(mednli / "mli_dev_v1.jsonl")}) == 2


def test_mednli_pair_that_comes_twice_is_left_out(tmp_path):
    conversion = ConversionReport()
    assert len(run(write(tmp_path, "train", row(), row("entailment"), row(pair="p2")), conversion)) == 2
    assert conversion.left_out == {"duplicate id": 1}


def test_mednli_parses_stay_out(mednli):
    assert "ROOT" not in json.dumps([record.to_dict() for record in run(mednli)])


def test_mednli_one_file_is_a_source_with_its_split(mednli):
    assert {record.split for record in run(mednli / "mli_test_v1.jsonl")} == {"test"}
    (mednli / "mli_train_v1.jsonl").unlink()
    assert [record.split for record in run(mednli)] == ["dev"] * 3 + ["test"] * 3


@given(
    premise=st.text(min_size=1).filter(str.strip),
    hypothesis=st.text(min_size=1).filter(str.strip),
    label=st.sampled_from(LABELS),
)
def test_mednli_any_text_survives(tmp_path_factory, premise, hypothesis, label):
    folder = tmp_path_factory.mktemp("mednli")
    write(folder, "test", row(label, sentence1=premise, sentence2=hypothesis))
    [record] = run(folder)
    assert record.context == f"sentence1: {premise.strip()}\nsentence2: {hypothesis.strip()}"
    assert record.query[slice(*record.spans[0])] == record.answer == label


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "is not a sentence pair"),
        ("[1]", "is not a sentence pair"),
        ("[" * 50_000, "is not a sentence pair"),
        (row(pair=7), "is not a sentence pair"),
        ({"gold_label": "neutral", "sentence1": "SECRET"}, "is not a sentence pair"),
        (row(sentence2=None), "is not a sentence pair"),
        (row(label="-"), "has a gold_label that is none of"),
        (row(label=["neutral"]), "has a gold_label that is none of"),
        (row(label="SECRET"), "has a gold_label that is none of"),
    ],
)
def test_mednli_malformed_row_is_named_by_line_or_skipped(mednli, line, reason):
    write(mednli, "dev", row(), "", line)
    with pytest.raises(BadInput, match=rf"mli_dev_v1\.jsonl:3 {reason}") as caught:
        run(mednli)
    assert "SECRET" not in str(caught.value)
    conversion = ConversionReport(skip_bad=True)
    assert len(run(mednli, conversion)) == 7
    assert sum(conversion.left_out.values()) == 1


def test_mednli_byte_order_mark_is_no_error(tmp_path):
    (tmp_path / "mli_test_v1.jsonl").write_text(json.dumps(row()), encoding="utf-8-sig")
    assert len(run(tmp_path)) == 1


def test_mednli_wrong_sources_are_named(mednli, tmp_path_factory):
    with pytest.raises(BadInput, match="does not exist"):
        run(mednli / "nowhere")
    for source in (tmp_path_factory.mktemp("empty"), mednli / "README.txt"):
        with pytest.raises(BadInput, match=r"none of mli_train_v1\.jsonl"):
            run(source)
