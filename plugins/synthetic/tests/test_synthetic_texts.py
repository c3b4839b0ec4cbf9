"""MedNLI, PubMedQA, MedQA, MedQuAD, MeQSum and UMLS: official layouts, and answers that are right."""

import json
import re
import zipfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from mdkif_synthetic import generate
from mdkif_synthetic.knowledge import by_code, conditions, drugs
from mdkif_synthetic.mednli import doubtful, judge, kind
from mdkif_synthetic.medquad import FOLDERS
from openpyxl import load_workbook

DENIALS = (
    "; ruled out for |, no evidence of | denied any history of | and has never had "
    "|; work-up negative for |; no sign of "
)
COLUMNS = {"MRCONSO": 18, "MRDEF": 8, "MRREL": 16, "MRSTY": 6}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("synthetic") / "hospital"
    generate(directory, seed=11, patients=200, only=["medqa", "medquad", "pubmedqa", "mednli", "meqsum", "umls"])
    return directory


def jsonl(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def rrf(folder: Path, name: str) -> list[list[str]]:
    lines = (folder / "UMLS" / "META" / f"{name}.RRF").read_text(encoding="utf-8").splitlines()
    return [line.split("|") for line in lines]


# MedNLI


@pytest.fixture(scope="module")
def pairs(folder) -> dict[str, list[dict[str, Any]]]:
    return {split: jsonl(folder / "MedNLI" / f"mli_{split}_v1.jsonl") for split in ("train", "dev", "test")}


def test_synthetic_mednli_has_the_official_keys_and_one_pair_for_each_label(pairs):
    ids, everything = set(), [pair for rows in pairs.values() for pair in rows]
    premises = defaultdict(list)
    for pair in everything:
        assert set(pair) == {
            "pairID", "gold_label", "sentence1", "sentence2", "sentence1_parse", "sentence2_parse",
            "sentence1_binary_parse", "sentence2_binary_parse",
        }  # fmt: skip
        ids.add(pair["pairID"])
        premises[pair["sentence1"]].append(pair["gold_label"])
    assert len(ids) == len(everything) == 300
    assert all(sorted(labels) == ["contradiction", "entailment", "neutral"] for labels in premises.values())


def test_synthetic_mednli_premises_do_not_straddle_splits(pairs):
    seen = {split: {pair["sentence1"] for pair in rows} for split, rows in pairs.items()}
    assert not seen["train"] & seen["dev"] | seen["train"] & seen["test"] | seen["dev"] & seen["test"]
    assert {split: len(premises) for split, premises in seen.items()} == {"train": 70, "dev": 10, "test": 20}


def test_synthetic_mednli_labels_follow_from_the_sentences(pairs):
    """Read premise and hypothesis back with the table alone, and judge again."""
    checked = 0
    for pair in (pair for rows in pairs.values() for pair in rows):
        said, denied = re.split(DENIALS, pair["sentence1"])
        present, absent = (
            {
                c.code
                for c in conditions()
                if any(re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", part) for name in c.synonyms)
            }
            for part in (said, denied)
        )
        hypothesis = pair["sentence2"]
        asserted = not re.search(r"does not|free of", hypothesis)
        if about := re.search(r"a form of (.*)\.", hypothesis):
            claimed = kind(about.group(1))
        else:
            claimed = {
                c.code for c in conditions() if hypothesis.endswith(f" {c.name}.") and f" {c.name}." in hypothesis
            }
            claimed = {max(claimed, key=lambda code: len(by_code()[code].name))}
        assert present
        assert len(absent) == 1
        assert judge(present, absent, claimed, asserted) == pair["gold_label"], (pair["sentence1"], hypothesis)
        checked += 1
    assert checked == 300


def test_synthetic_mednli_hypotheses_alone_do_not_give_the_label_away(pairs):
    negative = Counter(
        pair["gold_label"]
        for rows in pairs.values()
        for pair in rows
        if " not " in pair["sentence2"] or "free of" in pair["sentence2"]
    )
    assert all(30 <= negative[label] <= 70 for label in ("entailment", "neutral", "contradiction"))


def test_synthetic_mednli_parses_keep_the_words(pairs):
    for pair in pairs["test"]:
        assert pair["sentence1_parse"].startswith("(ROOT ")
        words = pair["sentence2_binary_parse"].replace("(", " ").replace(")", " ").split()
        assert " ".join(words[:-1]) + "." == pair["sentence2"]
        assert pair["sentence2_binary_parse"].count("(") == pair["sentence2_binary_parse"].count(")")


@pytest.mark.parametrize(
    ("claimed", "asserted", "label"),
    [({"4019"}, True, "entailment"), ({"4019"}, False, "contradiction"), ({"486"}, True, "contradiction"),
     ({"486"}, False, "entailment"), ({"496"}, True, "neutral"), ({"496"}, False, "neutral"),
     (kind("hypertensive disorder"), True, "entailment"), (kind("infectious disease"), False, "neutral")],
)  # fmt: skip
def test_synthetic_judging_by_hand(claimed, asserted, label):
    assert judge({"4019"}, {"486"}, claimed, asserted) == label


def test_synthetic_claims_about_the_same_organs_are_doubtful():
    assert doubtful({"42731"}, kind("heart disease"))
    assert not doubtful({"4280"}, kind("heart disease"))
    assert not doubtful({"42731"}, kind("bone disease"))
    assert not doubtful({"42731"}, {"4280"})


# PubMedQA


@pytest.fixture(scope="module")
def articles(folder) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads((folder / "PubMedQA/data/ori_pqal.json").read_text(encoding="utf-8"))
    return found


def test_synthetic_pubmedqa_has_the_official_keys(articles):
    assert len(articles) == 150
    for pmid, article in articles.items():
        assert re.fullmatch(r"99\d{6}", pmid)
        assert set(article) == {
            "QUESTION", "CONTEXTS", "LABELS", "MESHES", "YEAR", "reasoning_required_pred", "reasoning_free_pred",
            "final_decision", "LONG_ANSWER",
        }  # fmt: skip
        assert len(article["CONTEXTS"]) == len(article["LABELS"])
        assert article["QUESTION"].endswith("?")
    assert any(article["YEAR"] is None for article in articles.values())


def test_synthetic_pubmedqa_tests_on_half_of_every_decision(folder, articles):
    truth = json.loads((folder / "PubMedQA" / "data" / "test_ground_truth.json").read_text(encoding="utf-8"))
    assert all(articles[pmid]["final_decision"] == decision for pmid, decision in truth.items())
    whole, test = Counter(a["final_decision"] for a in articles.values()), Counter(truth.values())
    assert set(whole) == {"yes", "no", "maybe"}
    assert whole["yes"] > whole["no"] > whole["maybe"]
    assert len(truth) * 2 == len(articles)
    assert all(abs(2 * test[decision] - whole[decision]) <= 1 for decision in whole)


def test_synthetic_pubmedqa_decisions_follow_from_the_results(articles):
    for article in articles.values():
        results = article["CONTEXTS"][2]
        one, two = map(int, re.findall(r"(\d+)%", results)[:2])
        p, gap = float(re.findall(r"P=(\.\d+)", results)[0]), abs(one - two)
        subgroup = "only in patients over" in results
        decision = "yes" if p < 0.05 and gap > 10 else "maybe" if subgroup and p < 0.1 else "no"
        assert decision == article["final_decision"]
        assert subgroup == (decision == "maybe")


def test_synthetic_pubmedqa_contexts_do_not_hold_the_conclusion(articles):
    assert not any(
        article["LONG_ANSWER"] in context for article in articles.values() for context in article["CONTEXTS"]
    )


# MedQA


@pytest.fixture(scope="module")
def questions(folder) -> list[dict[str, Any]]:
    return [
        row
        for split in ("train", "dev", "test")
        for row in jsonl(folder / f"MedQA/data_clean/questions/US/{split}.jsonl")
    ]


def test_synthetic_medqa_has_five_different_options_and_a_matching_answer(questions):
    assert len(questions) == 150
    for row in questions:
        assert set(row) == {"question", "answer", "options", "meta_info", "answer_idx"}
        assert list(row["options"]) == list("ABCDE")
        assert len(set(row["options"].values())) == 5
        assert row["options"][row["answer_idx"]] == row["answer"]
        assert row["meta_info"] in ("step1", "step2&3")
    letters = Counter(row["answer_idx"] for row in questions)
    assert min(letters[letter] for letter in "ABCDE") > 10


def test_synthetic_medqa_has_exactly_one_right_option(questions):
    """The vignette's test is one condition's alone, so the table gives the answer."""
    kinds = Counter[str]()
    for row in questions:
        (condition,) = [c for c in conditions() if c.test in row["question"]]
        if row["answer"] == condition.name:
            right, asked = {condition.name}, "diagnosis"
        elif row["answer"] in drugs():
            helpful = {*condition.also, *(drugs()[drug].drug_class for drug in condition.drugs)}
            right, asked = {name for name, drug in drugs().items() if drug.drug_class in helpful}, "treatment"
        else:
            right, asked = set(condition.findings), "finding"
        kinds[asked] += 1
        assert right & set(row["options"].values()) == {row["answer"]}
        assert row["answer"] not in row["question"]
    assert set(kinds) == {"diagnosis", "treatment", "finding"}
    assert kinds["diagnosis"] > 40


# MedQuAD


@pytest.fixture(scope="module")
def documents(folder) -> dict[str, ElementTree.Element]:
    root = folder / "MedQuAD"
    return {str(path.relative_to(root)): ElementTree.parse(path).getroot() for path in sorted(root.rglob("*.xml"))}


def test_synthetic_medquad_has_all_official_folders_and_file_names(documents):
    found = defaultdict(list)
    for name in documents:
        place, file = name.split("/")
        found[place].append(file)
    assert found.keys() == {name for name, _ in FOLDERS.values()}
    assert all(re.fullmatch(r"\d{7}_1\.xml", file) for file in found["1_CancerGov_QA"])
    assert all(
        re.fullmatch(r"\d{7}\.xml", file) for place, files in found.items() for file in files if place[:2] != "1_"
    )


def test_synthetic_medquad_has_one_file_of_each_odd_schema(documents):
    roots = Counter(root.tag for root in documents.values())
    assert (roots["doc"], roots["DiseaseFile"]) == (1, 1)
    assert roots["Document"] == len(documents) - 2
    assert documents["6_NINDS_QA/0000001.xml"].find("qaPairs/pair/question") is not None
    assert documents["9_CDC_QA/0000001.xml"].get("fid") == "0000001"
    assert sum(root.find("QAPairs") is not None and len(root.find("QAPairs")) == 0 for root in documents.values()) == 1


def test_synthetic_medquad_annotations_are_where_the_official_folders_have_them(documents):
    for name, root in documents.items():
        number = int(name.split("_")[0])
        if root.tag == "doc":
            continue
        assert (root.find("FocusAnnotations") is None) == (number == 9)
        assert (root.find("FocusAnnotations/Category") is not None) == (number in (4, 10, 11, 12))
        if root.find("FocusAnnotations/UMLS") is not None:
            assert re.fullmatch(r"C99\d{5}", root.findtext("FocusAnnotations/UMLS/CUIs/CUI"))
            assert (root.find("FocusAnnotations/Synonyms") is not None) == (number in (2, 3, 4, 10))
        assert root.find("UMLS") is None or number == 9


def test_synthetic_medquad_answers_are_empty_only_in_the_last_three_folders(documents):
    counts = Counter[bool]()
    for name, root in documents.items():
        for pair in [*root.iter("QAPair"), *root.iter("pair")]:
            answer = pair.findtext("Answer") or pair.findtext("answer") or ""
            empty = int(name.split("_")[0]) >= 10
            assert bool(answer) != empty, name
            counts[empty] += 1
    assert counts[True] > 20
    assert counts[False] == 3 * len(conditions())


def test_synthetic_medquad_answers_come_from_the_table(documents):
    names = {condition.name: condition for condition in conditions()}
    for root in documents.values():
        focus = root.findtext("Focus")
        for pair in root.iter("QAPair"):
            kind, answer = pair.find("Question").get("qtype"), pair.findtext("Answer")
            if answer:
                said = {
                    "information": (names[focus].definition,),
                    "symptoms": names[focus].findings,
                    "treatment": names[focus].drugs,
                }
                assert any(phrase in answer for phrase in said[kind])
            assert pair.find("Question").text.endswith(" ?")


# MeQSum


def test_synthetic_meqsum_is_one_sheet_with_stray_empty_cells(folder):
    (path,) = (folder / "MeQSum").glob("*.xlsx")
    book = load_workbook(path)
    assert book.sheetnames == ["QS"]
    rows = list(book["QS"].iter_rows(values_only=True))
    assert rows[0][:3] == ("File", "CHQ", "Summary")
    assert len(rows) == 101
    assert len({row[1] for row in rows}) == len(rows)
    assert all(row[3] is None for row in rows)
    with zipfile.ZipFile(path) as archive:
        sheet = archive.read("xl/worksheets/sheet1.xml").decode()
    assert len(re.findall(r'<c r="D\d+"', sheet)) == 100 // 15


def test_synthetic_meqsum_summaries_are_short_and_in_other_words(folder):
    rows = list(
        load_workbook(next((folder / "MeQSum").glob("*.xlsx")))["QS"].iter_rows(min_row=2, max_col=3, values_only=True)
    )
    subjects = sum(question.startswith("SUBJECT: ") and "\nMESSAGE: " in question for _, question, _ in rows)
    assert 45 <= subjects <= 85
    assert any("[NAME]" in question for _, question, _ in rows)
    for _, question, summary in rows:
        assert len(summary.split()) < len(question.split()) / 2
        (condition,) = [c for c in conditions() if f" {c.name}?" in summary or f" {c.name}?" in f" {summary}"][:1]
        assert any(name.lower() in question.lower() for name in condition.synonyms)


# UMLS


@pytest.mark.parametrize("name", COLUMNS)
def test_synthetic_umls_rows_end_with_a_bar_and_are_sorted(folder, name):
    text = (folder / "UMLS" / "META" / f"{name}.RRF").read_bytes()
    lines = text.splitlines(keepends=True)
    assert lines == sorted(lines)
    assert all(line.endswith(b"|\n") for line in lines)
    assert {len(row) for row in rrf(folder, name)} == {COLUMNS[name] + 1}
    assert all(re.fullmatch(r"C99\d{5}", row[0]) for row in rrf(folder, name))


def test_synthetic_umls_concepts_have_one_preferred_english_name(folder):
    rows = rrf(folder, "MRCONSO")
    preferred = Counter(
        row[0] for row in rows if (row[1], row[2], row[4], row[6], row[16]) == ("ENG", "P", "PF", "Y", "N")
    )
    assert set(preferred.values()) == {1}
    assert preferred.keys() == {row[0] for row in rows} == {row[0] for row in rrf(folder, "MRSTY")}
    assert {row[16] for row in rows} == {"N", "O"}
    assert {row[1] for row in rows} == {"ENG", "SPA"}
    assert len({row[7] for row in rows}) == len(rows)


def test_synthetic_umls_synonyms_are_those_of_the_table(folder):
    strings = defaultdict(set)
    for row in rrf(folder, "MRCONSO"):
        if row[1] == "ENG" and row[16] == "N":
            strings[row[0]].add(row[14])
    assert sum(len(texts) for texts in strings.values()) > 400
    for condition in conditions():
        wanted = {condition.name, *condition.synonyms, condition.long_title}
        assert [texts for texts in strings.values() if wanted <= texts], condition.name
    for drug in drugs().values():
        assert {drug.name, *drug.brands} in strings.values()


def test_synthetic_umls_relations_say_what_the_second_concept_has_to_the_first(folder):
    names = {row[0]: row[14] for row in rrf(folder, "MRCONSO") if row[12] == "PT" and row[1] == "ENG"}
    told = {(names[row[4]], row[7], names[row[0]]): row[3] for row in rrf(folder, "MRREL") if row[7]}
    assert told["heart failure", "isa", "heart disease"] == "CHD"
    assert told["heart disease", "inverse_isa", "heart failure"] == "PAR"
    assert told["lisinopril", "may_treat", "hypertension"] == "RO"
    assert told["hypertension", "may_be_treated_by", "lisinopril"] == "RO"
    assert ("hypertension", "may_treat", "lisinopril") not in told
    assert ("heart disease", "isa", "heart failure") not in told
    assert ("swollen ankles", "is_finding_of_disease", "heart failure") in told
    assert ("hypertension", "cause_of", "heart failure") in told
    assert ("pneumonia", "has_finding_site", "lung") in told
    assert ("lisinopril", "isa", "ACE inhibitor") in told


def test_synthetic_umls_relations_come_in_both_directions_and_some_say_nothing(folder):
    rows = rrf(folder, "MRREL")
    directed = Counter(frozenset((row[0], row[4])) for row in rows if row[7])
    assert all(count % 2 == 0 for count in directed.values())
    assert len({row[8] for row in rows}) == len(rows)
    assert any(row[0] == row[4] for row in rows)
    assert any(not row[7] for row in rows)
    atoms = {row[7]: row[0] for row in rrf(folder, "MRCONSO")}
    assert all(atoms[row[1]] == row[0] and atoms[row[5]] == row[4] for row in rows)


def test_synthetic_umls_definitions_are_of_known_concepts_and_some_need_care(folder):
    rows = rrf(folder, "MRDEF")
    known = {row[0] for row in rrf(folder, "MRCONSO")}
    assert {row[0] for row in rows} <= known
    assert any(row[5].startswith("<p>") for row in rows)
    assert {row[6] for row in rows} == {"N", "O"}
    defined = {row[5].lower().rstrip(".") for row in rows}
    assert sum(condition.definition.lower() in defined for condition in conditions()) >= len(conditions()) - 5
