"""HealthCareMagic, WikiMed and CliCR: official layouts, offsets that match, and answers that are right."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from mdkif_synthetic import generate
from mdkif_synthetic.knowledge import conditions, drugs

INSTRUCTION = "If you are a doctor, please answer the medical questions based on the patient's description."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("synthetic") / "hospital"
    generate(directory, seed=6, patients=300, only=["healthcaremagic", "wikimed", "clicr", "umls"])
    return directory


@pytest.fixture(scope="module")
def strings(folder) -> dict[str, set[str]]:
    """The strings of each CUI."""
    found: dict[str, set[str]] = {}
    for line in (folder / "UMLS/META/MRCONSO.RRF").read_text(encoding="utf-8").splitlines():
        row = line.split("|")
        found.setdefault(row[0], set()).add(row[14])
    return found


# HealthCareMagic


@pytest.fixture(scope="module")
def letters(folder) -> list[dict[str, str]]:
    path = folder / "HealthCareMagic" / "HealthCareMagic-100k.json"
    rows: list[dict[str, str]] = json.loads(path.read_text(encoding="utf-8"))
    return rows


def test_synthetic_healthcaremagic_is_one_array_with_the_official_keys(letters):
    assert len(letters) == 300
    assert all(list(letter) == ["instruction", "input", "output"] for letter in letters)
    assert {letter["instruction"] for letter in letters} == {INSTRUCTION}
    assert all(letter["output"].endswith("Chat Doctor.") for letter in letters)


def test_synthetic_healthcaremagic_answers_are_about_what_is_asked(letters):
    kinds = Counter[str]()
    for letter in letters:
        found = [c for c in conditions() if any(finding in letter["input"] for finding in c.findings)]
        (condition,) = [c for c in found if re.search(rf"\b{re.escape(c.name)}\b", letter["output"], re.IGNORECASE)]
        said = {
            "what": condition.definition in letter["output"],
            "drugs": all(drug in letter["output"] for drug in condition.drugs),
            "signs": all(finding in letter["output"] for finding in condition.findings),
        }
        assert sum(said.values()) == 1
        kinds.update(kind for kind, true in said.items() if true)
    assert min(kinds[kind] for kind in ("what", "drugs", "signs")) > 50


# WikiMed


@pytest.fixture(scope="module")
def articles(folder) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "WikiMed/wikimed.json").read_text(encoding="utf-8").splitlines()]


def test_synthetic_wikimed_is_lines_with_the_official_keys(articles):
    assert len(articles) == len({article["_id"] for article in articles}) == 150
    assert all(set(article) == {"_id", "text", "title", "split", "mentions"} for article in articles)
    assert Counter(article["split"] for article in articles) == {"train": 120, "valid": 15, "test": 15}


def test_synthetic_wikimed_mentions_stand_at_their_offsets_and_name_their_concept(articles, strings):
    ambiguous = 0
    for article in articles:
        for mention in article["mentions"]:
            assert set(mention) == {"mention", "start_offset", "end_offset", "link_id"}
            assert article["text"][mention["start_offset"] : mention["end_offset"]] == mention["mention"]
            cui, *others = mention["link_id"].split("|")
            assert mention["mention"].lower() in {text.lower() for text in strings[cui]}
            assert set(others) <= strings.keys()
            ambiguous += bool(others)
    assert ambiguous >= 3


def test_synthetic_wikimed_offsets_count_characters_not_bytes(articles):
    after = [
        mention
        for article in articles
        for mention in article["mentions"]
        if not article["text"][: mention["start_offset"]].isascii()
    ]
    assert len(after) > 10


def test_synthetic_wikimed_has_articles_without_mentions_and_of_different_types(articles, folder):
    types = {}
    for line in (folder / "UMLS/META/MRSTY.RRF").read_text(encoding="utf-8").splitlines():
        cui, _, _, name, *_ = line.split("|")
        types[cui] = name
    sets = Counter[frozenset[str]]()
    for article in articles:
        sets[frozenset(types[m["link_id"].split("|")[0]] for m in article["mentions"])] += 1
    assert sets[frozenset()] >= 1
    assert len(sets) >= 6
    assert max(sets.values()) < len(articles) / 2


def test_synthetic_wikimed_drugs_are_given_for_what_they_treat(articles):
    for article in articles:
        if use := re.search(r"It is given for (.*?)\.", article["text"]):
            (condition,) = [c for c in conditions() if c.name == use.group(1)]
            assert article["title"].lower() in {drug.lower() for drug in condition.drugs}


# UMLS, for the types of what WikiMed mentions


def test_synthetic_umls_semantic_types_are_those_of_the_concepts(folder, strings):
    types: dict[str, tuple[str, str]] = {}
    for line in (folder / "UMLS/META/MRSTY.RRF").read_text(encoding="utf-8").splitlines():
        cui, tui, _, name, *_ = line.split("|")
        types |= dict.fromkeys(strings[cui], (tui, name))
    assert types["hypertension"] == ("T047", "Disease or Syndrome")
    assert types["depression"] == types["mood disorder"] == ("T048", "Mental or Behavioral Dysfunction")
    assert types["breast cancer"] == types["malignant neoplasm"] == ("T191", "Neoplastic Process")
    assert types["lisinopril"] == ("T121", "Pharmacologic Substance")
    assert types["lung"] == ("T023", "Body Part, Organ, or Organ Component")
    assert types["palpitations"] == ("T184", "Sign or Symptom")


# CliCR


@pytest.fixture(scope="module")
def cases(folder) -> dict[str, list[dict[str, Any]]]:
    files = {split: folder / "CliCR" / f"{split}1.0.json" for split in ("train", "dev", "test")}
    read = {split: json.loads(path.read_text(encoding="utf-8")) for split, path in files.items()}
    assert all(set(document) == {"version", "data"} for document in read.values())
    return {split: document["data"] for split, document in read.items()}


def queries(cases: dict[str, list[dict[str, Any]]]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    return [(case["document"], query) for part in cases.values() for case in part for query in case["document"]["qas"]]


def test_synthetic_clicr_has_the_official_keys_and_a_case_in_one_split(cases):
    assert {split: len(part) for split, part in cases.items()} == {"train": 61, "dev": 7, "test": 7}
    assert len({case["source"] for part in cases.values() for case in part}) == 75
    for part in cases.values():
        for case in part:
            assert set(case) == {"source", "document"}
            assert set(case["document"]) == {"title", "context", "qas"}
            ids = [query["id"] for query in case["document"]["qas"]]
            assert ids == [f"{case['source']}.{number}" for number in range(1, len(ids) + 1)]
    for _, query in queries(cases):
        assert set(query) == {"id", "query", "answers"}
        assert query["query"].count("@placeholder") == 1
        assert all(set(answer) == {"text", "cui", "sem_type", "origin"} for answer in query["answers"])


def test_synthetic_clicr_has_one_answer_of_the_text_and_the_other_names_of_its_concept(cases, strings):
    for _, query in queries(cases):
        first, *others = query["answers"]
        assert first["origin"] == "dataset"
        assert {answer["origin"] for answer in others} == {"UMLS"}
        assert first["text"] not in {answer["text"] for answer in others}
        assert {answer["text"] for answer in others} <= strings[first["cui"]]
        assert len({answer["cui"] for answer in query["answers"]}) == 1


def test_synthetic_clicr_marks_its_entities_in_pairs(cases):
    for document, query in queries(cases):
        for text in (document["title"], document["context"], query["query"]):
            assert not re.sub(r"BEG__[^_]+__END", "", text).count("__")
        assert document["context"].count("BEG__") >= 5


def test_synthetic_clicr_has_traps(cases):
    def shown(document: dict[str, Any], answer: dict[str, Any]) -> bool:
        text = re.sub("BEG__|__END", "", f"{document['title']}\n{document['context']}").lower()
        return answer["text"].lower() in text

    everything = queries(cases)
    hidden = [(d, q) for d, q in everything if not shown(d, q["answers"][0])]
    assert 0.02 < len(hidden) / len(everything) < 0.3
    assert all(any(shown(d, answer) for answer in q["answers"]) for d, q in hidden)
    assert any("\n" in q["query"] and "@placeholder" in q["query"].split("\n")[-1] for _, q in everything)
    assert any(re.search(r"@placeholder\S*-", q["query"]) for _, q in everything)
    assert any("__END." in d["context"] for d, _ in everything)


def test_synthetic_clicr_answers_fit_their_queries(cases):
    brands = {name: drug.name for drug in drugs().values() for name in (drug.name, *drug.brands)}
    checked = Counter[int]()
    for _, query in queries(cases):
        texts = {answer["text"] for answer in query["answers"]}
        (entity,) = re.findall(r"BEG__(.*)__END", query["query"])
        named = [c for c in conditions() if c.name in texts]
        if "option in patients" in query["query"]:
            (drug,) = {brands[text] for text in texts}
            (condition,) = [c for c in conditions() if entity in c.synonyms]
            assert drug in condition.drugs
        elif "used to treat" in query["query"]:
            assert entity.lower() in {drug.lower() for drug in named[0].drugs}
        elif "-related" in query["query"]:
            assert any(entity in c.synonyms and c.code in named[0].causes for c in conditions())
        else:
            assert entity in named[0].findings
        checked[len(named)] += 1
    assert checked.keys() == {0, 1}
