"""Every data set is read by the converter for the official one, and nothing is left out but what should be."""

import csv
import gzip
import json
from collections import Counter, defaultdict

import pytest
from mdkif import ConversionReport, Record, Toolkit
from mdkif_synthetic import Written, generate


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return generate(tmp_path_factory.mktemp("synthetic") / "hospital", seed=2, patients=90)


@pytest.fixture(scope="module")
def toolkit(tmp_path_factory: pytest.TempPathFactory) -> Toolkit:
    return Toolkit(store=tmp_path_factory.mktemp("store"))


def convert(toolkit, written, name: str, **options: object) -> tuple[list[Record], ConversionReport]:
    conversion = ConversionReport()
    records = list(toolkit.convert(name, written[name], conversion, options))
    assert records
    assert len({record.id for record in records}) == len(records)
    return records, conversion


@pytest.mark.parametrize("name", ["medqa", "pubmedqa", "mednli", "meqsum", "healthcaremagic", "mimic-cause"])
def test_synthetic_every_row_is_read(toolkit, written, name):
    records, conversion = convert(toolkit, written, name)
    assert not +conversion.left_out
    counts = {key.replace("_", "-"): count for key, count in written.counts.items()}
    whole = [name] if name in counts else [f"{name}-{split}" for split in ("train", "dev", "test")]
    assert len(records) == sum(counts[part] for part in whole)


def test_synthetic_medquad_leaves_out_the_questions_without_answer(toolkit, written):
    records, conversion = convert(toolkit, written, "medquad")
    assert len(records) == written.counts["medquad_answered"]
    assert +conversion.left_out == {"empty answer": written.counts["medquad"] - len(records)}


def test_synthetic_wikimed_gets_its_labels_from_the_semantic_types_of_the_umls(toolkit, written):
    records, conversion = convert(toolkit, written, "wikimed", mrsty=str(written["umls"] / "META"))
    assert len(records) + sum(conversion.left_out.values()) == written.counts["wikimed"]
    labels = Counter(label for record in records for label in record.labels)
    assert {"Disease or Syndrome", "Pharmacologic Substance", "Sign or Symptom", "Anatomy"} <= labels.keys()
    assert max(labels.values()) <= len(records)
    assert {record.split for record in records} == {"train", "dev", "test"}


@pytest.mark.parametrize("window", ["2", "all"])
def test_synthetic_clicr_finds_every_answer_or_a_synonym_in_the_report(toolkit, written, window):
    records, conversion = convert(toolkit, written, "clicr", window=window)
    assert not +conversion.left_out
    splits = Counter(record.split for record in records)
    assert splits == {split: written.counts[f"clicr_{split}"] for split in ("train", "dev", "test")}
    for record in records:
        assert record.spans
        names = {label.casefold() for label in record.labels}
        assert all(record.context[start:end].casefold() in names for start, end in record.spans)


def test_synthetic_emrqa_finds_every_answer_that_is_not_complex(toolkit, written):
    sets = "medication,relations,risk,smoking,obesity"
    records, conversion = convert(toolkit, written, "emrqa", sets=sets, paraphrases="all")
    assert set(+conversion.left_out) == {"complex answer"}
    assert len(records) + conversion.left_out["complex answer"] == written.counts["emrqa_questions"]
    for record in records:
        assert all(record.context[start:end] in record.labels for start, end in record.spans)
    assert {"yes", "UNK", "PAST SMOKER"} <= {record.answer for record in records if not record.spans}


def test_synthetic_i2b2_finds_every_concept(toolkit, written):
    records, conversion = convert(toolkit, written, "i2b2")
    assert set(+conversion.left_out) == {"no concept"}
    assert sum(len(record.spans) for record in records) == written.counts["i2b2_concepts"]
    assert {record.split for record in records} == {"train", "test"}


@pytest.mark.parametrize("name", ["mimic-iii", "mimic-iv"])
def test_synthetic_notes_of_all_admissions_are_coded(toolkit, written, name):
    records, conversion = convert(toolkit, written, name, view="icd", keep_empty="yes")
    assert len(records) == written.counts["admissions"]
    assert not any(reason.startswith("malformed") for reason in conversion.left_out)
    assert sum(bool(record.labels) for record in records) > len(records) / 2


@pytest.mark.parametrize("name", ["mimic-iii", "mimic-iv"])
def test_synthetic_drugs_of_admissions_can_be_recommended(toolkit, written, name):
    records, conversion = convert(toolkit, written, name, view="medication", top=20)
    assert conversion.left_out["prescription of a base or an additive"] > 0
    assert len(records) > written.counts["admissions"] / 2
    assert all(set(record.labels) <= set(record.options) for record in records)


@pytest.mark.parametrize("name", ["mimic-iii", "mimic-iv"])
def test_synthetic_admissions_are_readmitted_or_not(toolkit, written, name):
    records, conversion = convert(toolkit, written, name, view="readmission")
    answers = Counter(record.answer for record in records)
    assert answers.keys() == {"yes", "no"}
    assert answers["yes"] >= 5
    assert not any(reason.startswith("malformed") for reason in conversion.left_out)


def test_synthetic_same_patients_run_through_the_data_sets(written):
    """Notes are named after admissions, and the drugs that emrQA asks about are prescribed in them."""
    prescribed = defaultdict(set)
    with gzip.open(written["mimic-iii"] / "PRESCRIPTIONS.csv.gz", "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            prescribed[row["HADM_ID"]].add(row["DRUG"].lower())
    medication, relations, *_ = json.loads(written["emrqa"].read_text(encoding="utf-8"))["data"]
    asked = 0
    for note in medication["paragraphs"]:
        for qa in note["qas"]:
            if "dosage" in qa["id"]:
                drug = qa["question"][0].removeprefix("What is the dosage of ").removesuffix("?")
                assert drug.replace(" 's", "'s").replace(" %", "%") in prescribed[note["note_id"]]
                asked += 1
    assert asked > 30
    names = {path.stem for path in written["i2b2"].rglob("*.con")}
    assert names == {note["note_id"] for note in relations["paragraphs"]}
    assert {name.removeprefix("record-") for name in names} <= prescribed.keys()
