"""MedMCQA as its authors distribute it: `train.json`, `dev.json` and `test.json`, one question a line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mdkif import BadInput, ConversionReport, Dataset, Record, format_choices, hookimpl, text_lines

SPLITS = ("train", "dev", "test")
SPLITTING = ("official", "none")
ANSWERS = ("opa", "opb", "opc", "opd")


@hookimpl
def mdkif_datasets() -> list[Dataset]:
    """The data set `medmcqa`."""
    return [
        Dataset(
            name="medmcqa",
            title="MedMCQA: questions of Indian medical entrance examinations",
            target="mdkif_dataset_medmcqa:convert",
            licence="MIT",
            access="open; one archive (data.zip) linked from the repository",
            homepage="https://github.com/medmcqa/medmcqa",
            citation="Pal et al. 2022, MedMCQA: A Large-scale Multi-Subject Multi-Choice Dataset for Medical domain "
            "Question Answering, CHIL",
            options={"splits": "official (the default) or none: a file at hand alone is divided by the split policy"},
        )
    ]


def convert(source: Path, conversion: ConversionReport, *, splits: str = "official") -> Iterator[Record]:
    """The questions with their one right answer (`cop`, counted from 1), grouped by normalised question.

    `source` is the unpacked folder or one of its files: 182,822 questions to learn from, 4,183 for development and
    6,150 whose answers are not published and which are left out; so the field tests on dev. Rows whose
    `choice_type` is "multi" have one `cop` like the others and are read like them, as everywhere. The
    explanation `exp` gives the answer away and never becomes input. Raises BadInput where no such file is
    found, or for an unknown way of splitting.
    """
    if splits not in SPLITTING:
        raise BadInput(f"MedMCQA cannot be split as '{splits}': choose one of {', '.join(SPLITTING)}.")
    seen: set[str] = set()
    for split, path in _files(source):
        with text_lines(path, conversion) as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                key, question, texts, right = _question(line)
                options = list(dict.fromkeys(texts))
                if not key:
                    conversion.malformed(path, number, "is not a question with an id and the answers opa to opd")
                elif right is None:
                    conversion.leave_out("answer not published")
                elif type(right) is not int or not 1 <= right <= 4:
                    conversion.malformed(path, number, "has a cop that is none of 1 to 4")
                elif len(options) < 2:
                    conversion.leave_out("the same answer four times")
                elif key in seen:
                    conversion.leave_out("duplicate id")
                else:
                    seen.add(key)
                    yield Record(
                        id=f"medmcqa/{key}",
                        context=question,
                        split=split if splits == "official" else "",
                        group=" ".join(re.findall(r"\w+", question.casefold())),
                        source=f"{path.name}:{number}",
                        **format_choices("Which answer is right?", options, [texts[right - 1]]),
                    )


def _files(source: Path) -> list[tuple[str, Path]]:
    """Each split with its file."""
    if source.is_file() and source.stem in SPLITS:
        return [(source.stem, source)]
    for folder in (source, source / "data"):
        files = [(split, folder / f"{split}.json") for split in SPLITS]
        if found := [(split, path) for split, path in files if path.is_file()]:
            return found
    raise BadInput(f"There is none of train.json, dev.json and test.json at {source}: give MedMCQA's unpacked folder.")


def _question(line: str) -> tuple[str, str, list[str], Any]:
    """The id, the question, its four answers and the place of the right one; a row without these has no id."""
    try:
        row: dict[str, Any] = json.loads(line)
        texts = [" ".join(row[name].split()) for name in ANSWERS]
        key, question = row["id"].strip(), " ".join(row["question"].split())
        right = row.get("cop")
        return key if question and all(texts) else "", question, texts, right
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return "", "", [], None
