"""MedQA ("USMLE") as its authors distribute it: `data_clean/questions/{US,Mainland,Taiwan}/{train,dev,test}.jsonl`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mdkif import BadInput, ConversionReport, Dataset, Record, format_choices, hookimpl, text_lines

SPLITS = ("train", "dev", "test")
FILES = {
    ("US", "5"): "{}.jsonl",
    ("US", "4"): "4_options/phrases_no_exclude_{}.jsonl",
    ("Mainland", "5"): "{}.jsonl",
    ("Mainland", "4"): "4_options/{}.jsonl",
    ("Taiwan", "5"): "{}.jsonl",
}
WITHOUT_CASE = "Which of the following is most likely to have prevented this patient's condition?"
"""All that line 5,804 of the official US training file says: its case was lost, so nobody can answer it."""


@hookimpl
def mdkif_datasets() -> list[Dataset]:
    """The data set `medqa`."""
    return [
        Dataset(
            name="medqa",
            title="MedQA: medical board examination questions (USMLE, Mainland China, Taiwan)",
            target="mdkif_dataset_medqa:convert",
            licence="MIT",
            access="open; one archive (data_clean.zip) linked from the repository",
            homepage="https://github.com/jind11/MedQA",
            citation="Jin et al. 2021, What Disease does this Patient Have?, Applied Sciences 11(14)",
            options={
                "options": "5 (the full files, the default) or 4 (the authors' files with one wrong option fewer)",
                "region": "US (English, the default), Mainland (simplified Chinese) or Taiwan (traditional Chinese)",
            },
            stand_in="medmcqa",
        )
    ]


def convert(source: Path, conversion: ConversionReport, *, options: str = "5", region: str = "US") -> Iterator[Record]:
    """The questions of one region, with answers as texts since letters differ between the two renditions.

    `source` is the unpacked archive, its `data_clean` or `questions` folder, or one of its `.jsonl` files.
    Questions outside the US have four or five options in the full files. Raises BadInput for a region or
    rendition that does not exist or is not in `source`.
    """
    options = str(options)
    if (region, options) not in FILES:
        known = ", ".join(f"region {place} with {number}" for place, number in FILES)
        raise BadInput(f"MedQA has no files for region '{region}' with {options} options: choose from {known}.")
    for split, path in _files(source, region, options):
        with text_lines(path, conversion) as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                question, answer, texts = _question(line)
                if not question:
                    conversion.malformed(path, number, "is not a question with options and an answer")
                elif answer not in texts:
                    conversion.malformed(path, number, "has an answer that is none of its options")
                elif question == WITHOUT_CASE:
                    conversion.leave_out("question without its case")
                else:
                    yield Record(
                        id=f"medqa/{region}/{options}/{split}/{number}",
                        context=question,
                        split=split,
                        source=f"{path.name}:{number}",
                        **format_choices("Which answer is right?", texts, [answer]),
                    )


def _files(source: Path, region: str, options: str) -> list[tuple[str, Path]]:
    """Each split with its file."""
    pattern = FILES[region, options]
    if source.is_file():
        if split := next((split for split in SPLITS if source.stem.endswith(split)), ""):
            return [(split, source)]
        raise BadInput(f"The split of {source} is unknown: keep the official name, such as {pattern.format('test')}.")
    for folder in (source, source / "questions", source / "data_clean" / "questions"):
        files = [(split, folder / region / pattern.format(split)) for split in SPLITS]
        if found := [(split, path) for split, path in files if path.is_file()]:
            return found
    raise BadInput(
        f"There is no questions/{region}/{pattern.format('test')} in {source}: give the unpacked data_clean folder."
    )


def _question(line: str) -> tuple[str, str, list[str]]:
    """The question, its answer and the distinct options; a row that is none of that gives an empty question."""
    try:
        row: dict[str, Any] = json.loads(line)
        texts = [text.strip() for _, text in sorted(row["options"].items())]
        return row["question"].strip(), row["answer"].strip(), list(dict.fromkeys(texts))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return "", "", []
