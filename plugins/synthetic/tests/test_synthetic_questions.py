"""Whatever is asked has one right answer, which follows from the text and the table of medicine alone."""

import csv
import io
import json
import re
import zipfile
from collections import Counter, defaultdict
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from mdkif_synthetic import emrqa, generate
from mdkif_synthetic.knowledge import Condition, by_code, conditions, drugs
from mdkif_synthetic.mimiccause import PREVENTS
from mdkif_synthetic.patients import Admission, Hospital, Patient
from openpyxl import load_workbook

SEEDS, SIZES = st.integers(-(2**40), 2**40), st.integers(10, 60)
few = settings(
    max_examples=5,
    deadline=None,
    phases=(Phase.generate,),  # a smaller hospital would say no more, and takes minutes to find
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
SYNONYMS = {name.lower(): c for c in conditions() for name in (c.name, *c.synonyms)}
FINDINGS = {finding.lower(): c for c in conditions() for finding in c.findings}
GENERIC = {name.lower(): drug for drug in drugs().values() for name in (drug.name, *drug.brands)}


@pytest.fixture
def made(tmp_path_factory: pytest.TempPathFactory):
    """A function that writes one data set and says where it lies."""

    def made(name: str, seed: int, patients: int) -> Path:
        return generate(tmp_path_factory.mktemp("asked") / "h", seed=seed, patients=patients, only=[name])[name]

    return made


def jsonl(folder: Path) -> list[dict[str, Any]]:
    paths = sorted(folder.rglob("*.jsonl"))
    return [json.loads(line) for path in paths for line in path.read_text(encoding="utf-8").splitlines()]


def helps(drug: str, condition: Condition) -> bool:
    """Whether a drug, by any of its names, is of a class that helps against a condition."""
    own = {drugs()[name].drug_class for name in condition.drugs}
    return GENERIC[drug.lower()].drug_class in own | set(condition.also)


# MedQA


def right(row: dict[str, Any], condition: Condition) -> list[str]:
    """The options that answer a question about a condition."""
    options = row["options"].values()
    if re.search(r"diagnosis\?|best explains", row["question"]):
        return [option for option in options if option == condition.name]
    if re.search(r"drugs|medications", row["question"]):
        return [option for option in options if helps(option, condition)]
    return [option for option in options if option in condition.findings]


@few
@given(seed=SEEDS, size=SIZES)
def test_synthetic_question_of_medqa_has_one_right_option_and_is_asked_once(made, seed, size):
    rows = jsonl(made("medqa", seed, size))
    for row in rows:
        (condition,) = [c for c in conditions() if c.test in row["question"]]
        assert right(row, condition) == [row["answer"]] == [row["options"][row["answer_idx"]]]
        assert len(set(row["options"].values())) == 5
    assert len({row["question"] for row in rows}) == len(rows)


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    directory = tmp_path_factory.mktemp("asked") / "h"
    return jsonl(generate(directory, seed=13, patients=1600, only=["medqa"])["medqa"])


def test_synthetic_medqa_asks_everything_of_every_condition(questions):
    kinds = defaultdict(set)
    for row in questions:
        (condition,) = [c for c in conditions() if c.test in row["question"]]
        assert right(row, condition) == [row["answer"]]
        kinds[condition.code].add(row["question"].rpartition(". ")[2])
    assert len({row["question"] for row in questions}) == len(questions)
    everything = {kind for found in kinds.values() for kind in found}
    assert len(everything) == 5
    assert kinds.keys() == by_code().keys()
    assert sum(found == everything for found in kinds.values()) > len(kinds) / 2


def test_synthetic_medqa_cannot_be_answered_by_the_look_of_the_options(questions):
    """Neither the longest nor the first nor the one most often right is right much more often than by chance."""
    often = Counter(row["answer"] for row in questions)
    guesses = {
        "longest": lambda options: max(options, key=len),
        "shortest": lambda options: min(options, key=len),
        "first": lambda options: options[0],
    }
    for name, guess in guesses.items():
        hits = sum(guess(list(row["options"].values())) == row["answer"] for row in questions)
        assert 0.1 < hits / len(questions) < 0.3, name
    assert often.most_common(1)[0][1] < len(questions) / 10


# CliCR


@few
@given(seed=SEEDS, size=st.integers(40, 160))
def test_synthetic_gap_of_clicr_is_filled_by_one_entity_of_the_report(made, seed, size):
    """The others in the report that the table would allow are none."""
    kinds, folder = Counter[str](), made("clicr", seed, size)
    for split in ("train", "dev", "test"):
        for case in json.loads((folder / f"{split}1.0.json").read_text(encoding="utf-8"))["data"]:
            pairs = re.findall(r"BEG__([^_]*)__END was given for BEG__([^_]*)__END", case["document"]["context"])
            present = [SYNONYMS[name.lower()] for _, name in pairs]
            for query in case["document"]["qas"]:
                (entity,) = re.findall(r"BEG__(.*)__END", query["query"])
                names = {answer["text"].lower() for answer in query["answers"]}
                if "option in patients" in query["query"]:
                    filling = [drug for drug, _ in pairs if helps(drug, SYNONYMS[entity.lower()])]
                    fitting = [drug for drug in filling if drug.lower() in names]
                    kinds["drug"] += 1
                else:
                    if "used to treat" in query["query"]:
                        filling = [c.name for c in present if helps(entity, c)]
                    elif "-related" in query["query"]:
                        filling = [c.name for c in present if SYNONYMS[entity.lower()].code in c.causes]
                    else:
                        filling = [c.name for c in present if FINDINGS[entity.lower()] is c]
                    fitting = [name for name in filling if name.lower() in names]
                    kinds[query["query"].split()[0]] += 1
                assert len(filling) == len(fitting) == 1, query["id"]
    assert kinds["drug"] >= 3


def test_synthetic_clicr_asks_in_four_ways_though_only_where_the_answer_is_clear(made):
    folder, kinds, cases = made("clicr", 4, 400), Counter[str](), 0
    for case in json.loads((folder / "train1.0.json").read_text(encoding="utf-8"))["data"]:
        assert case["document"]["qas"], "every report is asked about"
        cases += 1
        for query in case["document"]["qas"]:
            for words in ("Think of", "used to treat", "option in patients", "-related"):
                kinds[words] += words in query["query"]
    assert min(kinds.values()) > cases / 5
    assert sum(kinds.values()) > 2 * cases


# emrQA


def patient(*codes: str, **treated: str) -> Hospital:
    """A hospital of one patient, who is given for each condition the drug that is named, or its first."""
    ill = tuple(by_code()[code] for code in codes)
    stay = Admission(
        id=991001,
        admitted=datetime(2130, 5, 1),
        discharged=datetime(2130, 5, 1) + timedelta(days=4),
        elective=False,
        died=False,
        soon_back=False,
        diagnoses=ill,
        drugs=tuple((treated.get(f"c{c.code}", c.drugs[0]),) for c in ill),
        procedures=(),
    )
    return Hospital(3, (Patient(id=990001, sex="M", born=datetime(2070, 1, 1), admissions=(stay,)),))


def test_synthetic_drug_for_two_conditions_has_both_reasons_under_one_question(tmp_path):
    emrqa.write(tmp_path, patient("5920", "60000", c5920="tamsulosin", c60000="tamsulosin"))
    medication, *_ = json.loads((tmp_path / "emrQA/data.json").read_text(encoding="utf-8"))["data"]
    (note,) = medication["paragraphs"]
    asked = {qa["question"][0]: qa["answers"] for qa in note["qas"]}
    assert (
        len(asked) == len(note["qas"]) == 3 + 2
    )  # what the drug is for, how much and whether; what each is treated with
    reasons = asked["Why is the patient on tamsulosin?"]
    assert {SYNONYMS[answer["text"]].code for answer in reasons} == {"5920", "60000"}
    assert [answer["answer_start"][0] for answer in reasons] == [3, 4]
    assert [answer["text"] for answer in asked["What is the dosage of tamsulosin?"]] == ["0.4 mg", "0.4 mg"]


@few
@given(seed=SEEDS, size=SIZES)
def test_synthetic_answers_of_emrqa_follow_from_the_line_they_stand_in(made, seed, size):
    """Reason, therapy and relations: whatever is asked for is the thing beside the one that is asked about."""
    medication, relations, *_ = json.loads(made("emrqa", seed, size).read_text(encoding="utf-8"))["data"]
    plain = {" ".join(re.sub(r"('s)", r" \1", name).split()): c for name, c in SYNONYMS.items()}
    checked = 0
    for note in (note for part in (medication, relations) for note in part["paragraphs"]):
        for qa in note["qas"]:
            (_, template) = qa["id"][0][0]
            before, _, after = template.partition("|x|")
            thing = qa["question"][0].removeprefix(before).removesuffix(after)
            for answer in qa["answers"]:
                lines = [answer["evidence_start"]] if qa["id"][1] != "therapy" else answer["evidence_start"]
                assert all(f" {thing} " in f" {note['context'][line - 1].lower()} " for line in lines)
                if qa["id"][1] == "reason":
                    assert thing in {
                        " ".join(re.sub(r"('s|%)", r" \1", drug.lower()).split())
                        for drug in plain[answer["text"]].drugs
                    }
                checked += 1
    assert checked > size


# MIMIC-Cause


@few
@given(seed=SEEDS, size=st.integers(60, 200))
def test_synthetic_what_mimic_cause_calls_unrelated_neither_helps_nor_prevents(made, seed, size):
    with zipfile.ZipFile(made("mimic-cause", seed, size)) as archive:
        rows = list(csv.DictReader(io.StringIO(archive.read("mimicause.csv").decode("utf-8"), newline="")))
    others = 0
    for row in rows:
        if row["label"] == "Other":
            pair = [re.findall(f"<{tag}>(.*)</{tag}>", row["text"])[0].lower() for tag in ("e1", "e2")]
            drug, name = sorted(pair, key=lambda entity: entity in SYNONYMS)
            assert not helps(drug, SYNONYMS[name])
            assert (drug, SYNONYMS[name].code) not in PREVENTS
            others += 1
    assert others == len(rows) // 9


# MedNLI, PubMedQA, MeQSum, WikiMed


@few
@given(seed=SEEDS, size=SIZES)
def test_synthetic_mednli_has_each_label_once_for_a_premise_and_a_premise_in_one_split(made, seed, size):
    splits, labels = defaultdict(set), defaultdict(list)
    folder = made("mednli", seed, size)
    for split in ("train", "dev", "test"):
        for line in (folder / f"mli_{split}_v1.jsonl").read_text(encoding="utf-8").splitlines():
            pair = json.loads(line)
            splits[pair["sentence1"]].add(split)
            labels[pair["sentence1"]].append(pair["gold_label"])
    assert {len(found) for found in splits.values()} == {1}
    assert all(sorted(found) == ["contradiction", "entailment", "neutral"] for found in labels.values())


@few
@given(seed=SEEDS, size=SIZES)
def test_synthetic_pubmedqa_draws_every_decision_for_training_and_for_the_test(made, seed, size):
    data = made("pubmedqa", seed, size) / "data"
    articles = json.loads((data / "ori_pqal.json").read_text(encoding="utf-8"))
    truth = json.loads((data / "test_ground_truth.json").read_text(encoding="utf-8"))
    rest = {pmid: article for pmid, article in articles.items() if pmid not in truth}
    for decisions in (set(truth.values()), {article["final_decision"] for article in rest.values()}):
        assert decisions == {"yes", "no", "maybe"}
    assert len(articles) == max(20, size * 3 // 4)
    assert abs(len(truth) - len(rest)) <= 3
    for article in articles.values():
        low, high = sorted(map(int, re.findall(r"(\d+)%", article["CONTEXTS"][2])))
        p = float(re.findall(r"\(P=(\.\d+)\)", article["CONTEXTS"][2])[0])
        assert 0 < low <= high <= 100
        assert (high - low >= 14) == (p < 0.05) == (article["final_decision"] == "yes")


@few
@given(seed=SEEDS, size=SIZES)
def test_synthetic_summaries_of_meqsum_ask_what_the_letter_asks(made, seed, size):
    """About the same condition, the same drug if there is one, and a relative who can have it."""
    (path,) = made("meqsum", seed, size).glob("*.xlsx")
    with closing(load_workbook(path, read_only=True)) as book:
        rows = list(book["QS"].iter_rows(min_row=2, max_col=3, values_only=True))
    sexes = {"mother": "F", "wife": "F", "sister": "F", "father": "M", "husband": "M", "brother": "M"}
    assert len(rows) == max(20, size // 2) == len({question for _, question, _ in rows})
    for _, question, summary in rows:
        (condition,) = [
            c for c in conditions() if re.search(rf"(?:for|of|causes|is|treat) {re.escape(c.name)}\?", summary)
        ]
        assert any(name.lower() in question.lower() for name in condition.synonyms)
        relative = re.findall(r"[Mm]y (\w+)", question)[0]
        assert condition.sex in ("", sexes.get(relative, ""))
        if drug := re.match(r"Is (.*) used to treat ", summary):
            assert drug[1] in condition.drugs
            assert drug[1] in question


@few
@given(seed=SEEDS, size=st.integers(40, 120))
def test_synthetic_articles_of_wikimed_say_what_the_table_says(made, seed, size):
    said = Counter[str]()
    for line in (made("wikimed", seed, size) / "wikimed.json").read_text(encoding="utf-8").splitlines():
        article = json.loads(line)
        title, text = article["title"].lower(), article["text"]
        if condition := SYNONYMS.get(title):
            facts = {
                r"It is also known as (.*?)\.": {name.lower() for name in condition.synonyms},
                r"(?:^|\. )([^.]*?) is used to treat it": {name.lower() for name in condition.drugs},
                r"It can lead to (.*?)\.": {n.lower() for code in condition.causes for n in by_code()[code].synonyms},
                r"people often have (.*?) and ": {finding.lower() for finding in condition.findings},
                r"It concerns the (.*?)\.": {condition.site},
                r", a form of (.*?), is well studied": {condition.parent},
            }
        elif title in GENERIC:
            drug = GENERIC[title]
            facts = {
                r"belongs to the class (.*?)\.": {drug.drug_class.lower()},
                r"One brand name is (.*?)\.": {brand.lower() for brand in drug.brands},
                r"It is given for (.*?)\.": {c.name.lower() for c in conditions() if drug.name in c.drugs},
            }
        else:
            assert article["mentions"] == []
            continue
        for pattern, true in facts.items():
            if found := re.search(pattern, text):
                assert found[1].lower() in true
                said[pattern] += 1
    assert len(said) >= 7
