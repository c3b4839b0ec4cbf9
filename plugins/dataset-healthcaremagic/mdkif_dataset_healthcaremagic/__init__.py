"""HealthCareMagic-100k as its authors distribute it: one JSON array of objects with instruction, input and output."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mdkif import BadInput, ConversionReport, Dataset, Record, hookimpl

CHUNK = 1 << 16
LONGEST_ROW = 1 << 20
START = re.compile(r"[\s,]*(?=\{)")
CITATION = "Li et al. 2023, ChatDoctor: A Medical Chat Model Fine-Tuned on LLaMA Using Medical Domain Knowledge, Cureus"
HOMEPAGE = "https://github.com/Kent0n-Li/ChatDoctor"


@hookimpl
def mdkif_datasets() -> list[Dataset]:
    """The data sets `healthcaremagic` and `chatdoctor`, which share a layout."""
    return [
        Dataset(
            name="healthcaremagic",
            title="HealthCareMagic-100k: patients' questions with the replies of doctors",
            target="mdkif_dataset_healthcaremagic:convert",
            licence="not stated apart from the Apache-2.0 of the code",
            access="one file (HealthCareMagic-100k.json) linked from the repository",
            homepage=HOMEPAGE,
            citation=CITATION,
            stand_in="chatdoctor",
        ),
        Dataset(
            name="chatdoctor",
            title="ChatDoctor 5k: patients' questions with the replies of a language model",
            target="mdkif_dataset_healthcaremagic:convert",
            licence="Apache-2.0",
            access="open",
            homepage=HOMEPAGE,
            citation=CITATION,
        ),
    ]


def convert(source: Path, conversion: ConversionReport) -> Iterator[Record]:
    """The dialogues, 112,165 of HealthCareMagic or 5,452 of ChatDoctor, grouped by the patient's normalised words.

    `source` is the `.json` file, or a folder that holds no other. The instruction, the same in every row, is the
    query. The files have no splits. Raises BadInput for a file that is cut short or no array of objects.
    """
    path = _file(source)
    for number, row in enumerate(_rows(path), 1):
        texts = [row.get(name) for name in ("instruction", "input", "output")]
        instruction, question, reply = (text.strip() if isinstance(text, str) else "" for text in texts)
        if not all(isinstance(text, str) for text in texts) or not instruction:
            conversion.malformed(path, f"row {number}", "has no instruction, input and output")
        elif not question or not reply:
            conversion.leave_out("empty input" if reply else "empty answer")
        else:
            yield Record(
                id=f"{path.stem}/{number}",
                query=instruction,
                context=question,
                answer=reply,
                group=" ".join(re.findall(r"\w+", question.casefold())),
                source=f"{path.name}:row {number}",
            )


def _file(source: Path) -> Path:
    if source.is_file():
        return source
    found = list(source.glob("*.json"))
    if len(found) != 1:
        raise BadInput(f"There are {len(found)} .json files in {source}: give the one with the dialogues.")
    return found[0]


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a JSON array, read piece by piece because the whole takes a hundred megabytes."""
    decoder = json.JSONDecoder()
    with path.open(encoding="utf-8-sig") as file:
        text = file.read(CHUNK).lstrip()
        array, text = text[:1] == "[", text[1:]
        while array:
            if start := START.match(text):
                try:
                    row, end = decoder.raw_decode(text, start.end())
                except (ValueError, RecursionError):  # the row goes on in the next piece
                    pass
                else:
                    yield row
                    text = text[end:]
                    continue
            if len(text) > LONGEST_ROW or not (more := file.read(CHUNK)):
                break
            text += more
    if not array or text.strip() != "]":
        raise BadInput(f"{path} is cut short or is not a JSON array of objects: take the file anew.")
