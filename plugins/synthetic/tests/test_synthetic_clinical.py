"""i2b2, emrQA and MIMIC-Cause: official layouts, annotations that stand where they say, and labels that are right."""

import csv
import io
import json
import re
import zipfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mdkif_synthetic import generate
from mdkif_synthetic.annotated import Line, annotate, tokens
from mdkif_synthetic.knowledge import by_code, conditions
from mdkif_synthetic.marked import Mention, located, plain, tell
from mdkif_synthetic.mimiccause import LABELS, PREVENTS

TRAINING, TEST, REFERENCE = (
    "concept_assertion_relation_training_data",
    "test_data",
    "reference_standard_for_test_data",
)
CONCEPT = re.compile(r'^c="(.*)" (\d+):(\d+) (\d+):(\d+)\|\|t="(problem|test|treatment)"$')
RELATIONS = {
    "TeRP": ("test", "problem"), "TeCP": ("test", "problem"), "PIP": ("problem", "problem"),
    "TrAP": ("treatment", "problem"), "TrIP": ("treatment", "problem"), "TrWP": ("treatment", "problem"),
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("synthetic") / "hospital"
    generate(directory, seed=5, patients=120, only=["i2b2", "emrqa", "mimic-cause"])
    return directory


# Marked sentences


def test_synthetic_mention_knows_where_it_stands():
    drug, name = Mention("aspirin", ("drug", "aspirin")), Mention("CAD", ("condition", "coronary artery disease"))
    told = tell("{drug} for {name}, no {drug}.", drug=drug, name=name)
    assert plain(told) == "Aspirin for CAD, no aspirin."
    assert [(mention.text, start) for mention, start in located(told)] == [("Aspirin", 0), ("CAD", 12), ("aspirin", 20)]
    assert [mention.type for mention, _ in located(told)] == ["treatment", "problem", "treatment"]


@given(st.lists(st.sampled_from(["Crohn's disease", "a, b", "sodium chloride 3%", "CAD (old)", "0.9 mg.", "x"])))
def test_synthetic_tokens_of_concepts_are_where_annotations_say(phrases):
    pieces = tuple(piece for phrase in phrases for piece in (" and ", Mention(phrase, ("finding", phrase))))
    note = annotate("x", [Line(pieces)])
    words = note.lines[0].split(" ") if phrases else []
    assert len(note.concepts) == len(phrases)
    for phrase, concept in zip(phrases, note.concepts, strict=True):
        assert " ".join(words[concept.first : concept.last + 1]).lower() == concept.text
        assert concept.text == " ".join(tokens(phrase)).lower()
        assert concept.line == 1


# i2b2


def i2b2(folder: Path) -> dict[str, tuple[list[str], Path]]:
    """The lines of every note and the folder of its annotations."""
    root = folder / "i2b2"
    notes = {}
    for text, place in (
        (root / TRAINING / "beth", root / TRAINING / "beth"),
        (root / TRAINING / "partners", root / TRAINING / "partners"),
        (root / TEST, root / REFERENCE),
    ):
        for path in sorted((text / "txt").glob("*.txt")):
            notes[path.stem] = (path.read_text(encoding="utf-8").strip("\n").split("\n"), place)
    return notes


def rows(place: Path, kind: str, name: str) -> list[str]:
    suffix = {"concept": "con"}.get(kind, kind)
    return (place / kind / f"{name}.{suffix}").read_text(encoding="utf-8").splitlines()


def test_synthetic_i2b2_has_the_official_folders_and_a_file_of_each_kind_for_every_note(folder):
    root = folder / "i2b2"
    texts = [root / TRAINING / "beth", root / TRAINING / "partners", root / TEST]
    assert [len(list((place / "txt").glob("*.txt"))) for place in texts] == [10, 10, 20]
    assert {path.name for path in (root / TEST).iterdir()} == {"txt", "SYNTHETIC.md"}
    for text, place in zip(texts, [*texts[:2], root / REFERENCE], strict=True):
        names = {path.stem for path in (text / "txt").glob("*.txt")}
        for kind, suffix in (("concept", "con"), ("ast", "ast"), ("rel", "rel")):
            assert {path.stem for path in (place / kind).glob(f"*.{suffix}")} == names
    assert len(i2b2(folder)) == 40


def test_synthetic_i2b2_concepts_stand_where_they_say(folder):
    kinds = Counter[str]()
    for name, (lines, place) in i2b2(folder).items():
        for row in rows(place, "concept", name):
            ((text, line, first, last_line, last, kind),) = CONCEPT.findall(row)
            assert line == last_line
            words = lines[int(line) - 1].split(" ")
            assert " ".join(words[int(first) : int(last) + 1]).lower() == text
            kinds[kind] += 1
    assert kinds["problem"] > kinds["treatment"] > kinds["test"] > 20


def test_synthetic_i2b2_lines_are_tokens_between_single_spaces(folder):
    for lines, _ in i2b2(folder).values():
        assert len(lines) > 8
        for line in lines:
            assert line.split(" ") == line.split()
            assert not re.search(r"\w[,;:]( |$)|\w\.$", line)


def test_synthetic_i2b2_annotations_of_problems_and_pairs_are_of_concepts(folder):
    statuses, codes = Counter[str](), Counter[str]()
    for name, (_, place) in i2b2(folder).items():
        known = rows(place, "concept", name)
        problems = [row for row in known if row.endswith('t="problem"')]
        for row in rows(place, "ast", name):
            concept, _, status = row.rpartition("||")
            assert concept in problems
            statuses[status] += 1
        assert len(set(problems)) == len(rows(place, "ast", name))
        for row in rows(place, "rel", name):
            one, code, two = row.split("||")
            types = RELATIONS[code.removeprefix('r="').removesuffix('"')]
            assert f'{one}||t="{types[0]}"' in known
            assert f'{two}||t="{types[1]}"' in known
            codes[code] += 1
    assert {'a="present"', 'a="absent"', 'a="hypothetical"', 'a="associated_with_someone_else"'} <= statuses.keys()
    assert codes.keys() == {f'r="{code}"' for code in RELATIONS}


def test_synthetic_i2b2_has_some_concepts_twice(folder):
    twice = [n for n, (_, place) in i2b2(folder).items() if len(set(r := rows(place, "concept", n))) < len(r)]
    assert len(twice) == 4


def test_synthetic_i2b2_notes_are_of_the_stay_they_are_named_after(folder):
    """A drug that is given for a condition is one of that condition's."""
    checked = 0
    for lines, _ in i2b2(folder).values():
        for drug, name in (pair for line in lines for pair in re.findall(r"^(.*) was given for (.*) \.$", line)):
            (condition,) = [c for c in conditions() if name in {" ".join(tokens(s)) for s in c.synonyms}]
            assert drug.lower() in {" ".join(tokens(d)).lower() for d in condition.drugs}
            checked += 1
    assert checked > 10


# emrQA


@pytest.fixture(scope="module")
def emrqa(folder) -> dict[str, list[dict[str, Any]]]:
    data = json.loads((folder / "emrQA" / "data.json").read_text(encoding="utf-8"))["data"]
    assert [part["title"] for part in data] == ["medication", "relations", "risk-dataset", "smoking", "obesity"]
    assert all(set(part) == {"title", "paragraphs"} for part in data)
    return {part["title"]: part["paragraphs"] for part in data}


def test_synthetic_emrqa_contexts_are_lines_or_text_as_the_generator_left_them(emrqa):
    for title, paragraphs in emrqa.items():
        assert paragraphs
        for paragraph in paragraphs:
            assert set(paragraph) == {"note_id", "context", "qas"}
            context = paragraph["context"]
            if title in ("smoking", "obesity"):
                assert isinstance(context, str)
            else:
                assert all(line.endswith("\n") == (title != "risk-dataset") for line in context)


def test_synthetic_emrqa_questions_are_paraphrases_with_their_templates(emrqa):
    for paragraphs in emrqa.values():
        for qa in (qa for paragraph in paragraphs for qa in paragraph["qas"]):
            assert set(qa) == {"question", "id", "answers"}
            assert len(qa["question"]) >= 2
            assert [question for question, _ in qa["id"][0]] == qa["question"]
            assert not any("|" in question for question in qa["question"])
            assert qa["answers"]


def parts(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """A complex answer as the single ones it is made of."""
    if answer["answer_entity_type"] != "complex":
        return [answer]
    columns = {key: values for key, values in answer.items() if key != "answer_entity_type"}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def test_synthetic_emrqa_answers_stand_at_their_line_and_token(emrqa):
    kinds = Counter[tuple[str, str]]()
    for title in ("medication", "relations", "risk-dataset"):
        for paragraph in emrqa[title]:
            for answer in (answer for qa in paragraph["qas"] for answer in qa["answers"]):
                kind = answer["answer_entity_type"]
                kinds[title, kind] += 1
                assert len(parts(answer)) == (2 if kind == "complex" else 1)
                for part in parts(answer):
                    line, token = part["answer_start"]
                    assert part["evidence"] == paragraph["context"][line - 1]
                    assert part["evidence_start"] == line
                    if kind == "empty":
                        assert (token, part["text"]) == ("", "")
                    else:
                        words, wanted = part["evidence"].lower().split(), part["text"].split()
                        assert words[token : token + len(wanted)] == wanted
    assert kinds.keys() == {
        ("medication", "single"), ("medication", "empty"), ("medication", "complex"),
        ("relations", "single"), ("risk-dataset", "empty"),
    }  # fmt: skip


def test_synthetic_emrqa_classes_stand_nowhere(emrqa):
    classes = defaultdict(set)
    for title in ("smoking", "obesity"):
        for answer in (a for paragraph in emrqa[title] for qa in paragraph["qas"] for a in qa["answers"]):
            assert set(answer) == {"answer_start", "text", "evidence", "evidence_start"}
            assert answer["answer_start"] == answer["evidence"] == answer["evidence_start"] == ""
            classes[title].add(answer["text"])
    assert classes["smoking"] == {"CURRENT SMOKER", "PAST SMOKER", "NON-SMOKER", "UNKNOWN"}
    assert classes["obesity"] == {"yes", "UNK"}


def test_synthetic_emrqa_risk_notes_have_entities_of_html(emrqa):
    lines = [line for paragraph in emrqa["risk-dataset"] for line in paragraph["context"]]
    assert any("&gt;" in line and "&amp;" in line for line in lines)
    assert not any(re.search(r"[<>'\"]", line) for line in lines)


def test_synthetic_emrqa_asks_about_the_notes_of_i2b2(folder, emrqa):
    notes = i2b2(folder)
    assert {paragraph["note_id"] for paragraph in emrqa["relations"]} == notes.keys()
    for paragraph in emrqa["relations"]:
        assert "".join(paragraph["context"]).splitlines() == notes[paragraph["note_id"]][0]


# MIMIC-Cause


@pytest.fixture(scope="module")
def causes(folder) -> list[dict[str, str]]:
    with zipfile.ZipFile(folder / "MIMIC-Cause" / "mimicause.zip") as archive:
        (name,) = archive.namelist()
        assert name.endswith(".csv")
        return list(csv.DictReader(io.StringIO(archive.read(name).decode("utf-8"), newline="")))


def test_synthetic_mimic_cause_has_both_entities_once_and_all_labels_as_often(causes):
    assert list(causes[0]) == ["text", "label"]
    counts = Counter(row["label"] for row in causes)
    assert counts.keys() == set(LABELS)
    assert len(LABELS) == 9
    assert max(counts.values()) - min(counts.values()) <= 1
    assert sum(counts.values()) == len({row["text"] for row in causes}) == 120
    for row in causes:
        for tag in ("e1", "e2"):
            assert len(re.findall(f"<{tag}>[^<]+</{tag}>", row["text"])) == 1


def test_synthetic_mimic_cause_has_traps(causes):
    assert 20 < sum(row["text"].index("<e2>") < row["text"].index("<e1>") for row in causes) < 100
    assert all("[**" in row["text"] for row in causes)
    assert any("\n" in row["text"] for row in causes)


def test_synthetic_mimic_cause_labels_follow_from_the_sentences(causes):
    """Who acts is found in the table of medicine alone."""
    names = {name.lower(): c for c in conditions() for name in c.synonyms}
    checked = Counter[str]()
    for row in causes:
        one, two = (re.findall(f"<{tag}>(.*)</{tag}>", row["text"])[0].lower() for tag in ("e1", "e2"))
        kind, _, order = row["label"].partition("(")
        acting, other = (two, one) if order.startswith("E2") else (one, two)
        if kind in ("Cause", "Enable"):
            effect = names[other].code if other in names else other
            assert effect in names[acting].causes or effect in {finding.lower() for finding in names[acting].findings}
        elif kind == "Prevent":
            assert (acting, names[other].code) in PREVENTS
        elif kind == "Hinder":
            assert acting in {drug.lower() for drug in names[other].drugs}
        else:
            drug, denied = (one, two) if two in names else (two, one)
            assert drug not in names[denied].drugs
        checked[kind] += 1
    assert len(checked) == 5


def test_synthetic_what_drugs_prevent_is_of_the_table():
    assert all(code in by_code() for _, code in PREVENTS)
    assert len(set(PREVENTS)) == len(PREVENTS)
