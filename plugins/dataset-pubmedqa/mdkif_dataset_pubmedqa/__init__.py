"""PubMedQA as its authors distribute it: one JSON object of articles keyed by PMID, beside the test PMIDs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from mdkif import BadInput, ConversionReport, Dataset, Record, format_choices, hookimpl

DECISIONS = ("yes", "no", "maybe")
VIEWS = ("qa", "nli")
RELATIONS = {"entailment": "yes", "neutral": "maybe", "contradiction": "no"}
"""MedNLI's labels in its order, and the decisions that are read as them."""

FILES = {"labeled": "ori_pqal.json", "artificial": "ori_pqaa.json"}
TEST_IDS = "test_ground_truth.json"
ARTIFICIAL_DEV = 11_269 / 211_269
"""The authors' share of PQA-A for development; they set 200,000 articles apart for training."""

CHUNK = 1 << 16
LONGEST_ARTICLE = 1 << 20
KEY = re.compile(r'[\s{,]*"(\w{1,20})"\s*:\s*')
"""A PMID, which is named in errors: anything longer is none."""


@hookimpl
def mdkif_datasets() -> list[Dataset]:
    """The data set `pubmedqa`."""
    return [
        Dataset(
            name="pubmedqa",
            title="PubMedQA: yes/no/maybe questions about PubMed abstracts",
            target="mdkif_dataset_pubmedqa:convert",
            licence="MIT",
            access="open; PQA-A is a separate download linked from the repository",
            homepage="https://github.com/pubmedqa/pubmedqa",
            citation="Jin et al. 2019, PubMedQA: A Dataset for Biomedical Research Question Answering, EMNLP",
            options={
                "subset": "labeled (PQA-L, the default) or artificial (PQA-A)",
                "view": "qa (the default) or nli (the questions read as inference, a stand-in for MedNLI)",
            },
        )
    ]


def convert(
    source: Path, conversion: ConversionReport, *, subset: str = "labeled", view: str = "qa"
) -> Iterator[Record]:
    """The articles of PQA-L or PQA-A; the long answer never becomes input, for it gives the decision away.

    `source` is the repository, its `data` folder or one `ori_pqa?.json`. The test split of PQA-L is the
    500 PMIDs of `test_ground_truth.json`; a tenth of the others is for development. PQA-A has no test split.
    Articles without a decision (all of PQA-U) are left out.

    The view `nli` is question answering read as inference, for want of an open MedNLI: the abstract is the
    premise, the question as it stands the hypothesis, and yes, no and maybe are entailment, contradiction and
    neutral. What learns from it has learnt PubMedQA, and must not be combined with a test on the task `pubmedqa`.

    Raises BadInput for an unknown subset or view, and for files that are absent, cut short or do not belong
    together.
    """
    if view not in VIEWS:
        raise BadInput(f"PubMedQA has no view '{view}': choose one of {', '.join(VIEWS)}.")
    if subset not in FILES:
        raise BadInput(f"The subset '{subset}' is not in PubMedQA: choose one of {', '.join(FILES)}.")
    path = _file(source, FILES[subset])
    test, dev = _official_split(path) if subset == "labeled" else (set(), set())
    seen: set[str] = set()
    for pmid, article in _members(path):
        if reason := _fault(article):
            conversion.malformed(path, pmid, reason)
            continue
        if article.get("final_decision") is None:
            conversion.leave_out("no decision")
            continue
        if pmid in seen:
            conversion.leave_out("duplicate id")
            continue
        seen.add(pmid)
        if subset == "artificial":
            split = "dev" if _position(pmid) < ARTIFICIAL_DEV else "train"
        else:
            split = "test" if pmid in test else "dev" if pmid in dev else "train"
        yield Record(
            id=f"pubmedqa/{pmid}",
            split=split,
            source=f"{path.name}:{pmid}",
            **(_inference if view == "nli" else _question)(article),
        )


def _question(article: dict[str, Any]) -> dict[str, Any]:
    """The question, about the abstract."""
    return {
        "context": "\n".join(article["CONTEXTS"]),
        **format_choices(article["QUESTION"].strip(), DECISIONS, [article["final_decision"]]),
    }


def _inference(article: dict[str, Any]) -> dict[str, Any]:
    """Whether the question, taken for a statement, follows from the abstract; worded as MedNLI's records are."""
    [relation] = (name for name, decision in RELATIONS.items() if decision == article["final_decision"])
    return {
        "context": f"sentence1: {' '.join(article['CONTEXTS'])}\nsentence2: {article['QUESTION'].strip()}",
        **format_choices("Determine the relationship between the two sentences.", tuple(RELATIONS), [relation]),
    }


def _file(source: Path, name: str) -> Path:
    if source.is_file():
        return source
    for path in (source / name, source / "data" / name):
        if path.is_file():
            return path
    raise BadInput(f"PubMedQA's {name} is neither in {source} nor in its data folder: give the repository's folder.")


def _official_split(path: Path) -> tuple[set[str], set[str]]:
    """The PMIDs of test, and the tenth of the others with the lowest hash, which is independent of order."""
    truth = path.with_name(TEST_IDS)
    if not truth.is_file():
        raise BadInput(f"The official test ids are not at {truth}: put the repository's {TEST_IDS} beside {path.name}.")
    try:
        test = set(json.loads(truth.read_text(encoding="utf-8-sig")).keys())
    except (ValueError, AttributeError, RecursionError):
        raise BadInput(f"{truth} is not JSON with PMIDs as keys: take the repository's own file.") from None
    pmids = {pmid for pmid, _ in _members(path)}
    if missing := len(test - pmids):
        raise BadInput(
            f"{path} lacks {missing} of the {len(test)} articles that {TEST_IDS} names: take both files anew."
        )
    rest = sorted(pmids - test, key=_position)
    return test, set(rest[: len(rest) // 10])


def _position(pmid: str) -> float:
    """Where the PMID lies between 0 and 1."""
    return int.from_bytes(sha256(pmid.encode()).digest()[:8]) / 2**64


def _fault(article: Any) -> str:
    """Why this is no article, or ""."""
    if not isinstance(article, dict):
        return "is not an article"
    question, contexts = article.get("QUESTION"), article.get("CONTEXTS")
    if not isinstance(question, str) or not question.strip():
        return "has no QUESTION"
    if not isinstance(contexts, list) or not all(isinstance(part, str) for part in contexts):
        return "has no list of CONTEXTS"
    if article.get("final_decision") not in (None, *DECISIONS):
        return "has a final_decision that is none of yes, no, maybe"
    return ""


def _members(path: Path) -> Iterator[tuple[str, Any]]:
    """The members of one JSON object, read piece by piece because PQA-A takes half a gigabyte."""
    decoder = json.JSONDecoder()
    with path.open(encoding="utf-8-sig") as file:
        text = file.read(CHUNK)
        while True:
            if key := KEY.match(text):
                try:
                    article, end = decoder.raw_decode(text, key.end())
                except (ValueError, RecursionError):  # the article goes on in the next piece
                    pass
                else:
                    yield key[1], article
                    text = text[end:]
                    continue
            if len(text) > LONGEST_ARTICLE or not (more := file.read(CHUNK)):
                break
            text += more
    if text.strip() not in ("}", "{}"):
        raise BadInput(f"{path} is cut short or is not a JSON object of articles: take the file anew.")
